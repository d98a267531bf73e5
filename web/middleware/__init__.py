"""ASGI middleware: limits, cross-site checks and headers."""

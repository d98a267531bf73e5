"""The Hub's HTTP API, a module per family of routes."""

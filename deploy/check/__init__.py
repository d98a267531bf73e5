"""Checks of a running service: smoke test and evaluation."""

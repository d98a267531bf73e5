"""Prometheus metrics and the history behind the dashboard."""

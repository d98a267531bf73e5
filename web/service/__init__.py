"""Predictions and corrections behind every front end."""

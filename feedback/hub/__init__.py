"""Feedback rows in a data set on the Hub."""

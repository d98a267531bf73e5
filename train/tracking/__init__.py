"""The record of training runs."""

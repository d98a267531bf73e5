"""Repositories as folders and commits."""

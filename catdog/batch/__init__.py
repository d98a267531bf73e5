"""Classify many pictures: files, folders, Parquet and data sets."""

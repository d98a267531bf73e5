"""The maintainer's pages."""

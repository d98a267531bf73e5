"""The subcommands of `python -m feedback`."""

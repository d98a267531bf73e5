"""The subcommands of `python -m train`: their options, and what they print."""

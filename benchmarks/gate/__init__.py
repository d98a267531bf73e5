"""Does the gate err? See `python -m benchmarks.gate --help`."""

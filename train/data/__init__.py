"""Training data: sources, examples, splits, corrected labels."""

"""Speed and size beside real alternatives."""

"""Speed, size, endurance and attacks, measured beside real alternatives."""

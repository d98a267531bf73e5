"""Which rows a person should look at, in which order, and what they decided."""

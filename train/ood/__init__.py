"""Out-of-distribution rejection: the rule behind the verdict "neither"."""

"""Long runs and attacks: nothing may be lost, leak or fail."""

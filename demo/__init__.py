"""The whole loop on one machine, narrated, and a measurement of what it earns."""

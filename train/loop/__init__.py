"""From accepted corrections to a published revision."""

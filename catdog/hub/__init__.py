"""What the app reads from the Hub: models, their files and newer revisions."""

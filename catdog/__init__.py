"""What a prediction is: images, the model, the Hub, settings and errors. Needs no torch."""

__version__ = "0.1.0"

PROJECT_URL = "https://catdog.example"
"""Who asks, for servers that pictures are fetched from. A reserved name: put the repository's public address here."""

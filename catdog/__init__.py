"""What a prediction is: images, the model, the Hub, settings and errors. Needs no torch."""

__version__ = "0.1.0"

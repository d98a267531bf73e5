"""What a prediction is: images, the model, the Hub, settings and errors. Needs no torch."""

import os

# ONNX Runtime tells its makers how it is used, unless this is set before it is imported; whoever sets it decides.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

"""The model folder: metadata, preprocessing, network and predictions."""

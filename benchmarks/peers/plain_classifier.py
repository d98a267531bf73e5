"""The classifier as timm's users run it: full decoding with Pillow, timm's own transform, eager torch."""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import io
from pathlib import Path

import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.data import create_transform

from catdog.model.metadata import WEIGHTS_FILE, Metadata, load_metadata


class PlainClassifier:
    """The network of a model folder, without what says "neither"."""

    def __init__(self, folder: Path) -> None:
        metadata: Metadata = load_metadata(folder)
        spec = metadata.preprocessing
        self.labels = metadata.labels
        self._network = timm.create_model(metadata.architecture, num_classes=len(self.labels))
        self._network.load_state_dict(load_file(folder / WEIGHTS_FILE))
        self._network.eval()
        self._transform = create_transform(
            input_size=(3, spec.input_size, spec.input_size),
            interpolation=spec.interpolation,
            mean=spec.mean,
            std=spec.std,
            crop_pct=spec.crop_pct,
            crop_mode=spec.crop_mode,
        )

    def decode(self, data: bytes) -> torch.Tensor:
        """Shape (3, side, side)."""
        tensor: torch.Tensor = self._transform(Image.open(io.BytesIO(data)).convert("RGB"))
        return tensor

    def probabilities(self, batch: torch.Tensor) -> torch.Tensor:
        """Shape (n, labels), from (n, 3, side, side)."""
        with torch.inference_mode():
            return self._network(batch).softmax(-1)

    def answer(self, probabilities: torch.Tensor) -> dict[str, object]:
        """One picture's answer."""
        found = dict(zip(self.labels, probabilities.tolist(), strict=True))
        return {"label": max(found, key=found.__getitem__), "probabilities": found}

    def classify(self, data: bytes) -> dict[str, object]:
        """Label and probabilities of one picture."""
        return self.answer(self.probabilities(self.decode(data)[None])[0])

"""Tiny labelled pictures that a tiny network can learn: each label is a tint over random blobs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

TINTS = {"amber": (1.0, 0.7, 0.1), "jade": (0.1, 1.0, 0.6), "plum": (0.7, 0.1, 1.0)}
LABELS = tuple(TINTS)


def picture(label: str, seed: int, size: tuple[int, int] = (60, 44)) -> Image.Image:
    """One picture; pictures of different seeds are not near-duplicates."""
    generator = np.random.default_rng([seed, LABELS.index(label)])
    noise = generator.integers(40, 256, (8, 8, 1)) * np.array(TINTS[label])
    return Image.fromarray(noise.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def write_folder(folder: Path, labels: Sequence[str] = LABELS, *, count: int = 20) -> Path:
    """One sub-folder of `count` pictures per label, some wide and some high."""
    for label in labels:
        (folder / label).mkdir(parents=True)
        for seed in range(count):
            size = (60, 44) if seed % 2 else (44, 60)
            picture(label, seed, size).save(folder / label / f"{seed}.png")
    return folder

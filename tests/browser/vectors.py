"""Test vectors of the preprocessing, which Python writes and the browser's code is held against.

`python -m tests.browser.vectors` writes `preprocessing.jsonl`. A picture is made by a formula that both sides know, and
what becomes of it is given as a hash of all values: one bit of difference shows.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from catdog.model.metadata import Preprocessing
from catdog.model.preprocessing import crop_box, standardize

FILE = Path(__file__).with_name("preprocessing.jsonl")
SIZES = ((200, 200), (333, 500), (61, 40), (499, 375), (9, 700), (256, 256), (271, 269))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def generated(width: int, height: int) -> Image.Image:
    """A picture with edges, gradients and noise: the same from the same formula in JavaScript."""
    index = np.arange(width * height * 3, dtype=np.uint64)
    noise = ((index * np.uint64(2654435761)) % np.uint64(2**32)) >> np.uint64(24)
    x, y = (index // np.uint64(3)) % np.uint64(width), index // np.uint64(3 * width)
    blocks = ((x // np.uint64(16) + y // np.uint64(16)) % np.uint64(2)) * np.uint64(160)
    values = (blocks + noise // np.uint64(4) + x // np.uint64(8)) % np.uint64(256)
    return Image.fromarray(values.astype(np.uint8).reshape(height, width, 3))


def specs() -> list[Preprocessing]:
    """Every interpolation and way to crop, and the preprocessing of the embedded model."""
    found = [
        Preprocessing(
            input_size=224, mean=MEAN, std=STD, interpolation=interpolation, crop_pct=crop_pct, crop_mode=crop_mode
        )
        for interpolation in ("nearest", "bilinear", "bicubic", "lanczos")
        for crop_pct, crop_mode in ((0.875, "center"), (1.0, "squash"))
    ]
    half = (0.5, 0.5, 0.5)
    served = Preprocessing(
        input_size=256, mean=half, std=half, interpolation="bilinear", crop_pct=0.95, crop_mode="center"
    )
    return [*found, served]


def by_pillow(image: Image.Image, spec: Preprocessing) -> npt.NDArray[np.float32]:
    """What the network gets, resampled by Pillow: the app's other way to resample may differ by a grey level."""
    size, method = (spec.input_size, spec.input_size), Image.Resampling[spec.interpolation.upper()]
    return standardize(image.resize(size, method, box=crop_box(image.size, spec)), spec)


def vectors() -> list[dict[str, Any]]:
    """What Python makes of each picture, by size and specification."""
    return [
        {
            "width": width,
            "height": height,
            "spec": spec.model_dump(mode="json"),
            "sha256": hashlib.sha256(by_pillow(generated(width, height), spec).tobytes()).hexdigest(),
        }
        for spec, sizes in zip(specs(), [*[SIZES[:3]] * 8, SIZES], strict=True)
        for width, height in sizes
    ]


if __name__ == "__main__":
    FILE.write_text("".join(f"{json.dumps(vector)}\n" for vector in vectors()))

"""Kinds of picture that can be told from the pixels, so that a model may not get worse on one of them unnoticed."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
import numpy.typing as npt
from PIL import Image

_SIDE = 96
_SHARE = 0.1
_GREY = (0.299, 0.587, 0.114)

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Traits:
    """Of one picture. Measured on a small copy, so that size matters only where it is the trait."""

    brightness: float
    """Mean of the grey values, 0 to 1."""
    contrast: float
    """Their standard deviation."""
    colour: float
    """Mean spread between the colour channels."""
    sharpness: float
    """Variance of the Laplacian of the grey values."""
    size: float
    """Shorter side in pixels."""
    squareness: float
    """Shorter side divided by the longer one."""


_NAMES = {
    "brightness": "darkest",
    "contrast": "flattest",
    "colour": "least colourful",
    "sharpness": "most blurred",
    "size": "smallest",
    "squareness": "most oblong",
}


def measure(image: Image.Image) -> Traits:
    """The traits of an RGB image."""
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    pixels = np.asarray(small, dtype=np.float32) / 255.0
    grey = pixels @ np.array(_GREY, dtype=np.float32)
    laplacian = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1]
    return Traits(
        brightness=float(grey.mean()),
        contrast=float(grey.std()),
        colour=float((pixels.max(axis=2) - pixels.min(axis=2)).mean()),
        sharpness=float(laplacian.var()),
        size=float(min(image.size)),
        squareness=min(image.size) / max(image.size),
    )


def find_slices(
    traits: Sequence[Traits], labels: npt.NDArray[np.int64], names: Sequence[str], *, share: float = _SHARE
) -> dict[str, Mask]:
    """Each label, and for each trait the tenth of the pictures with the least of it.

    A trait that many pictures share at its least value (all are equally large, say) gives all of them, and none if
    that is everything.

    Args:
        traits: Of n pictures.
        labels: Shape (n,): the true ones.
        names: Of the labels.
        share: Of the pictures, for each trait.

    Returns:
        From the slice's name to its members, shape (n,).
    """
    slices = {f"label {name}": labels == index for index, name in enumerate(names)}
    values = np.array([astuple(each) for each in traits], dtype=np.float64)
    for column, field in enumerate(fields(Traits)):
        least = values[:, column] <= np.quantile(values[:, column], share, method="lower")
        if not least.all():
            slices[_NAMES[field.name]] = least
    return slices

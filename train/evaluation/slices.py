"""Kinds of picture that can be told from the pixels, so that a model may not get worse on one of them unnoticed."""

from collections.abc import Sequence
from dataclasses import astuple, fields

import numpy as np
import numpy.typing as npt

from catdog.images.traits import Traits

_SHARE = 0.1

Mask = npt.NDArray[np.bool_]


_NAMES = {
    "brightness": "darkest",
    "contrast": "flattest",
    "colour": "least colourful",
    "sharpness": "most blurred",
    "size": "smallest",
    "squareness": "most oblong",
}


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

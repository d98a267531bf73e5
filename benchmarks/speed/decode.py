"""Photos of a phone at a reduced scale: how much faster, and what it does to the answers.

Each photo of the data set is enlarged to 12 million pixels, decoded in full and as the app decodes it, and classified
both ways by the same network.
"""

import io
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from tqdm import tqdm

from benchmarks.harness.pictures import Photo, from_phone, photos
from benchmarks.harness.report import Section, circumstances, spread, table
from catdog.images.decode import decode_image, decoded_side
from catdog.model.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "decode"
_ALL, _FEW, _TIMED = 1000, 4, 20
_MOST_LOST = 0.0005
"""Of accuracy: 0.05 points."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One photo, classified both ways."""

    full: str
    reduced: str
    difference: float
    """The largest of any probability."""
    label: str | None


def measure(model: Path, *, quick: bool) -> Section:
    """Compare the answers of all photos, and time some."""
    served = Model.load(model)
    found = photos(_FEW if quick else _ALL)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pairs = list(tqdm(pool.map(lambda photo: both(served, photo), found), total=len(found), disable=None))
    lines, failures = _answers(pairs)
    timed = [from_phone(photo.image) for photo in found[: 1 if quick else _TIMED]]
    return Section(
        NAME, "Decoding of large photos", [circumstances(), "", *lines, "", *_times(served, timed)], failures
    )


def both(model: Model, photo: Photo) -> Pair:
    """Classify one photo both ways."""
    data = from_phone(photo.image)
    full, reduced = model.predict(in_full(data)), model.predict(as_served(model, data))
    pairs = zip(full.probabilities, reduced.probabilities, strict=True)
    known = None if photo.label is None else model.labels[photo.label]
    return Pair(full.label, reduced.label, max(abs(one - other) for one, other in pairs), known)


def in_full(data: bytes) -> Image.Image:
    """All pixels, by Pillow."""
    return Image.open(io.BytesIO(data)).convert("RGB")


def as_served(model: Model, data: bytes) -> Image.Image:
    """As the app decodes it."""
    return decode_image(data, side=decoded_side(model.metadata.preprocessing))


def _answers(pairs: list[Pair]) -> tuple[list[str], list[str]]:
    others = sum(pair.full != pair.reduced for pair in pairs)
    known = [pair for pair in pairs if pair.label is not None]
    full, reduced = (
        sum(getattr(pair, way) == pair.label for pair in known) / max(1, len(known)) for way in ("full", "reduced")
    )
    lines = [
        (
            f"{len(pairs)} photos of 12 megapixels: {others} have another label at the reduced scale; the largest "
            f"difference of a probability is {max(pair.difference for pair in pairs):.4f}, the median "
            f"{statistics.median(pair.difference for pair in pairs):.6f}."
        ),
        f"Accuracy decoded in full {100 * full:.2f}%, reduced {100 * reduced:.2f}% (of {len(known)} with a label).",
    ]
    lost = [f"decode: accuracy falls from {full:.4f} to {reduced:.4f}"] if full - reduced > _MOST_LOST else []
    return lines, [*([f"decode: {others} photos get another label"] if others else []), *lost]


def _times(model: Model, pictures: list[bytes]) -> list[str]:
    ways: dict[str, Callable[[bytes], object]] = {
        "in full": in_full,
        "as served": lambda data: as_served(model, data),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for data in pictures:
        for name, decode in ways.items():
            started = time.perf_counter()
            decode(data)
            taken[name].append(1000 * (time.perf_counter() - started))
    return table(["decoding, one thread", "ms"], [[name, spread(each)] for name, each in taken.items()])

"""The story's pictures: what the champion is trained with, and a kind of picture that it has never seen."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from catdog.errors import DataError, ImageError
from catdog.images.decode import decode_image
from catdog.images.phash import fingerprint, pack
from catdog.model.metadata import SPLITS_FILE
from demo.kinds import NAMES, make

_JPEG_QUALITY = 90
_NIGHT_BRIGHTNESS = 0.2
_TINTS = {"amber": (1.0, 0.7, 0.1), "jade": (0.1, 1.0, 0.6), "plum": (0.7, 0.1, 1.0)}
_BLUE_LIGHT = {"amber": (0.25, 0.3, 0.65), "jade": (0.65, 0.25, 0.3), "plum": (0.3, 0.65, 0.25)}


@dataclass(frozen=True, slots=True)
class Photo:
    """One encoded picture and what it really shows."""

    name: str
    data: bytes
    label: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many pictures of each label the story needs."""

    data: int
    """To train, choose and test the champion with."""
    stream: int
    """Of the new kind, for people to send."""
    fresh: int
    """Of the new kind, never sent: to measure by."""
    ordinary: int
    """Of the old kind, new to the champion."""

    @property
    def total(self) -> int:
        """Of everything."""
        return self.data + self.stream + self.fresh + self.ordinary


@dataclass(frozen=True, slots=True)
class Material:
    """All pictures of one story; no picture is in two parts."""

    kind: str
    """The new kind in words."""
    labels: tuple[str, ...]
    data: tuple[Photo, ...]
    stream: tuple[Photo, ...]
    fresh: tuple[Photo, ...]
    ordinary: tuple[Photo, ...]
    """Nobody sends them."""
    lied: tuple[Photo, ...]
    """Of the old kind: somebody gives them wrong labels."""


GOOD = Counts(data=0, stream=120, fresh=100, ordinary=100)
"""For a model that is there already, and seldom wrong."""
PHOTOS = Counts(data=2000, stream=150, fresh=75, ordinary=50)
SHAPES = Counts(data=40, stream=30, fresh=15, ordinary=40)
"""Generated pictures teach faster."""


def real_photos(data: str, counts: Counts, *, seed: int = 0) -> Material:
    """Photos of a data set; the new kind are some of them as a camera sees them at night.

    Args:
        data: A folder or a Hub data set.
        counts: How many of each label.
        seed: Which ones.

    Raises:
        DataError: there are too few.
        SettingsError, HubError: see `open_source`.
    """
    from train.data.source import open_source  # noqa: PLC0415 - datasets is slow to import

    source = open_source(data)
    rng = np.random.default_rng(seed)
    pools: dict[str, list[Photo]] = {label: [] for label in source.labels}
    for batch in source.batches(rng.permutation(len(source)).tolist()):
        for row in batch:
            label = None if row.label is None else source.labels[row.label]
            if label and row.data and len(pools[label]) < counts.total:
                pools[label].append(Photo(f"{row.index}.jpg", row.data, label))
        if all(len(pool) == counts.total for pool in pools.values()):
            return _divide(pools, counts, at_night, "photos at night: black-and-white, a fifth as bright")
    raise DataError(f"{data} has fewer than {counts.total} pictures of a label. Name a larger data set with --photos.")


def new_to(model: Path, data: str, counts: Counts, kind: str, *, seed: int = 0) -> Material:
    """Photos of a model's own data, as pictures of a kind: training pictures are sent, and unseen ones measure.

    Args:
        model: A model folder.
        data: What it was trained with: a folder or a Hub data set.
        counts: How many of each label.
        kind: One of `KINDS`.
        seed: Which photos.

    Raises:
        DataError: there are too few.
        SettingsError, HubError: see `open_source`.
    """
    from train.data.source import open_source  # noqa: PLC0415 - datasets is slow to import
    from train.data.splits import read_manifest, seen_splits  # noqa: PLC0415

    source, manifest = open_source(data), read_manifest(model / SPLITS_FILE)
    sent, unseen = counts.stream + counts.ordinary, counts.fresh + counts.ordinary
    pools: dict[tuple[str, bool], list[Photo]] = {(label, new): [] for label in source.labels for new in (True, False)}
    for batch in source.batches(np.random.default_rng(seed).permutation(len(source)).tolist()):
        rows = [row for row in batch if row.data and row.label is not None]
        prints = [fingerprint(decode_image(row.data or b"")) for row in rows]
        splits = seen_splits(pack([each.phash for each in prints]), manifest, pack([each.certain for each in prints]))
        for row, split in zip(rows, splits.tolist(), strict=True):
            pool = pools[source.labels[row.label or 0], split in {"test", "validation"}]
            pool.append(Photo(f"{row.index}.jpg", row.data or b"", source.labels[row.label or 0]))
        if all(len(pool) >= (unseen if new else sent) for (_, new), pool in pools.items()):
            break
    else:
        raise DataError(f"{data} has too few pictures of what {model} was made with. Name that with --photos.")

    def deal(start: int, count: int, *, new: bool, change: bool) -> tuple[Photo, ...]:
        chosen = [pools[label, new][start + i] for i in range(count) for label in source.labels]
        return tuple(of_kind(kind, photo) if change else photo for photo in chosen)

    return Material(
        kind=NAMES[kind],
        labels=source.labels,
        data=(),
        stream=deal(0, counts.stream, new=False, change=True),
        fresh=deal(0, counts.fresh, new=True, change=True),
        ordinary=deal(counts.fresh, counts.ordinary, new=True, change=False),
        lied=deal(counts.stream, counts.ordinary, new=False, change=False),
    )


def of_kind(kind: str, photo: Photo) -> Photo:
    """The photo as a picture of a kind."""
    name = f"{kind}-{photo.name}"
    return Photo(name, _encoded(make(kind, decode_image(photo.data), photo.name)), photo.label)


def generated(counts: Counts) -> Material:
    """Blobs that are told apart by their colour; the new kind are the same under blue light, dim and shifted."""
    pools = {label: [_blobs(label, _TINTS, seed) for seed in range(counts.total)] for label in _TINTS}
    shifted = {label: iter([_blobs(label, _BLUE_LIGHT, 10_000 + n) for n in range(counts.total)]) for label in _TINTS}
    return _divide(
        pools, counts, lambda photo: next(shifted[photo.label]), "coloured blobs under dim light of another colour"
    )


def write_folder(folder: Path, photos: Sequence[Photo]) -> None:
    """One sub-folder a label, as `python -m train fit --data` reads it."""
    for photo in photos:
        path = folder / photo.label / photo.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo.data)


def at_night(photo: Photo) -> Photo:
    """The photo without colour and a fifth as bright."""
    image = ImageEnhance.Brightness(ImageOps.grayscale(decode_image(photo.data))).enhance(_NIGHT_BRIGHTNESS)
    return Photo(f"night-{photo.name}", _encoded(image), photo.label)


def _divide(pools: dict[str, list[Photo]], counts: Counts, make_new: Callable[[Photo], Photo], kind: str) -> Material:
    """Deal the pictures out, the labels in turn."""
    dealt = {label: iter(pool) for label, pool in pools.items()}

    def deal(count: int, change: Callable[[Photo], Photo] = lambda photo: photo) -> Iterator[Photo]:
        for _ in range(count):
            yield from (change(next(each)) for each in dealt.values())

    try:
        data = tuple(deal(counts.data))
        stream, fresh = tuple(deal(counts.stream, make_new)), tuple(deal(counts.fresh, make_new))
        ordinary = tuple(deal(counts.ordinary))
        return Material(kind, tuple(pools), data, stream, fresh, ordinary, lied=ordinary)
    except ImageError as error:
        raise DataError(f"A picture of the data set cannot be read: {error} Name another with --photos.") from None


def _blobs(label: str, tints: dict[str, tuple[float, float, float]], seed: int) -> Photo:
    """Random blobs; those of different seeds are not near-duplicates."""
    generator = np.random.default_rng([seed, list(tints).index(label)])
    noise = generator.integers(40, 256, (8, 8, 1)) * np.array(tints[label])
    size = (60, 44) if seed % 2 else (44, 60)
    image = Image.fromarray(noise.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return Photo(f"{label}-{seed}.jpg", _encoded(image), label)


def _encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_JPEG_QUALITY)
    return out.getvalue()

"""Decoded examples: what training needs of every picture, in memory once."""

import hashlib
import io
import logging
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from catdog.cli import printable
from catdog.errors import DataError, ImageError
from catdog.files import write_atomically
from catdog.images.decode import decode_image
from catdog.images.phash import Fingerprint, Hashes, fingerprint, pack
from train.data.source import Row, Source

_T = TypeVar("_T")
_THREADS = min(4, os.cpu_count() or 1)
_SHOWN_REASONS = 10
_SHOWN_NAMES = 10
_SEEN_FILE = "pictures-1.npz"
"""Another number for another fingerprint."""
_NO_SQUARE = np.zeros((3, 0, 0), dtype=np.uint8)
_Seen = tuple[Fingerprint, float]
"""Of one picture, and its aspect."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Examples:
    """The readable pictures of a source, n in all."""

    source: Source
    rows: npt.NDArray[np.int64]
    """Shape (n,): the row of each in the source."""
    labels: npt.NDArray[np.int64]
    """Shape (n,): indices into the source's labels."""
    hashes: Hashes
    """Shape (n, 4): perceptual hashes."""
    certain: Hashes
    """Shape (n, 4): which of their bits are certain, see `fingerprint`."""
    digests: tuple[str, ...]
    """SHA-256 of each picture's bytes."""
    squares: npt.NDArray[np.uint8]
    """Shape (n, 3, side, side): each picture squeezed to a square; side 0 if no pixels were asked for."""
    aspects: npt.NDArray[np.float32]
    """Shape (n,): width divided by height before that."""
    skipped: Counter[str]
    """How many rows were left out, by reason."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def digest(self) -> str:
        """One SHA-256 for all pictures with their labels, whatever their order."""
        names = self.source.labels
        lines = sorted(f"{digest} {names[label]}\n" for digest, label in zip(self.digests, self.labels, strict=True))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Example:
    row: Row
    fingerprint: Fingerprint
    digest: str
    square: npt.NDArray[np.uint8]
    aspect: float


def read_examples(source: Source, *, side: int = 0, cache: Path | None = None) -> Examples:
    """Decode every picture of a source, with the decoder that serves; unreadable ones are skipped and counted.

    Args:
        source: An open data set.
        side: The side of the squares kept in memory; 0 keeps none.
        cache: A folder where what was seen without squares is kept: pictures that are there are not decoded again.

    Raises:
        DataError: no picture is readable, or a label is left with none.
    """
    squares = np.zeros((len(source) if side else 0, 3, side, side), dtype=np.uint8)
    found: list[_Example] = []
    skipped: Counter[str] = Counter()
    names: list[str] = []
    seen = _read_seen(cache) if cache and not side else {}
    for index, result in enumerate(_examples(source, side, seen)):
        if isinstance(result, str):
            skipped[result] += 1
            if len(names) < _SHOWN_NAMES:
                names.append(source.row_name(index))
            continue
        if side:
            squares[len(found)] = result.square
        found.append(_without_pixels(result))
    _report(skipped, names, len(source))
    if cache and not side and any(each.digest not in seen for each in found):
        _keep_seen(cache, found)
    return Examples(
        source=source,
        rows=np.array([example.row.index for example in found], dtype=np.int64),
        labels=np.array([example.row.label for example in found], dtype=np.int64),
        hashes=pack([example.fingerprint.phash for example in found]),
        certain=pack([example.fingerprint.certain for example in found]),
        digests=tuple(example.digest for example in found),
        squares=squares[: len(found)],
        aspects=np.array([example.aspect for example in found], dtype=np.float32),
        skipped=skipped,
    )


def _examples(source: Source, side: int, seen: "Mapping[str, _Seen]") -> "Iterator[_Example | str]":
    """Every row in order; those that were seen before are not decoded."""
    if not seen:
        yield from map_rows(source, lambda row, image: _example(row, image, side))
        return
    known: dict[int, _Example] = {}
    for rows in source.batches(None):
        for row in rows:
            digest = hashlib.sha256(row.data or b"").hexdigest()
            if row.label is not None and (before := seen.get(digest)):
                known[row.index] = _Example(Row(row.index, None, row.label), before[0], digest, _NO_SQUARE, before[1])
    others = [index for index in range(len(source)) if index not in known]
    made = map_rows(source, lambda row, image: _example(row, image, side), others) if others else iter(())
    for index in range(len(source)):
        yield known[index] if index in known else next(made)


def _read_seen(cache: Path) -> "dict[str, _Seen]":
    """What the cache holds, by the SHA-256 of a picture's bytes; nothing where it is missing, old or damaged."""
    try:
        with np.load(cache / _SEEN_FILE, allow_pickle=False) as stored:
            columns = [stored[name].tolist() for name in ("digest", "phash", "certain", "aspect")]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return {}
    return {digest: (Fingerprint(*bits), aspect) for digest, *bits, aspect in zip(*columns, strict=True)}


def _keep_seen(cache: Path, found: Sequence[_Example]) -> None:
    out = io.BytesIO()
    np.savez_compressed(
        out,
        digest=np.array([each.digest for each in found]),
        phash=np.array([each.fingerprint.phash for each in found]),
        certain=np.array([each.fingerprint.certain for each in found]),
        aspect=np.array([each.aspect for each in found]),
    )
    try:
        cache.mkdir(parents=True, exist_ok=True)
        write_atomically(cache / _SEEN_FILE, out.getvalue())
    except OSError as error:
        _log.warning("%s cannot be written (%s): the next run decodes all pictures again", cache, error.strerror)


def require_every_label(examples: Examples) -> None:
    """Refuse to train where a label has no picture.

    Raises:
        DataError: it names the labels.
    """
    if not len(examples):
        raise DataError(f"{examples.source.name} has no readable picture with a label. Nothing can be trained.")
    counts = np.bincount(examples.labels, minlength=len(examples.source.labels))
    empty = [label for label, count in zip(examples.source.labels, counts, strict=True) if not count]
    if empty:
        raise DataError(f"No readable picture has the label {', '.join(empty)}. Add some, or remove the label.")


def map_rows(
    source: Source, function: Callable[[Row, Image.Image], _T], indices: Sequence[int] | None = None
) -> Iterator[_T | str]:
    """Decode rows on a few threads and yield `function(row, image)` in order, or why a row was left out."""

    def work(row: Row) -> _T | str:
        if row.label is None:
            return "no label"
        if row.data is None:
            return "no picture"
        try:
            return function(row, decode_image(row.data))
        except ImageError as error:
            return str(error)

    total = len(source) if indices is None else len(indices)
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        tqdm(total=total, desc="decoding", unit="img", leave=False, disable=None) as bar,
    ):
        for rows in source.batches(indices):
            # Waited for before the caller goes on: a network's threads spin, and would starve the decoding ones.
            results = list(pool.map(work, rows))
            bar.update(len(rows))
            yield from results


def _example(row: Row, image: Image.Image, side: int) -> _Example:
    square = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)) if side else None
    return _Example(
        row=Row(row.index, None, row.label),
        fingerprint=fingerprint(image),
        digest=hashlib.sha256(row.data or b"").hexdigest(),
        square=_NO_SQUARE if square is None else square.transpose(2, 0, 1),
        aspect=image.width / image.height,
    )


def _without_pixels(example: _Example) -> _Example:
    return replace(example, square=_NO_SQUARE)


def _report(skipped: Counter[str], names: Sequence[str], total: int) -> None:
    if not skipped:
        return
    _log.warning("%d of %d rows are skipped:", skipped.total(), total)
    for reason, count in skipped.most_common(_SHOWN_REASONS):
        _log.warning("  %6d  %s", count, reason)
    more = ", …" if skipped.total() > len(names) else ""
    _log.warning("          %s%s", ", ".join(map(printable, names)), more)

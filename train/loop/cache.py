"""What retraining computes of pictures, kept on disk beside the challengers, so that the next one need not do it."""

import hashlib
import json
import logging
import os
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from train.data.examples import Examples, read_examples
from train.data.source import Source

CACHE_FOLDER = ".features"
_FORMAT = 1
"""Raise it when what is kept of a data set changes."""
_KEPT_FILES = 32
_log = logging.getLogger(__name__)

Arrays = Mapping[str, npt.NDArray[Any]]


def load(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    """What was kept; None if there is nothing yet, or it is damaged: it is made again."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = dict(arrays)
        os.utime(path)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    return found


def keep(path: Path, arrays: Arrays) -> None:
    """Keep arrays, and as many older files as there is reason for; a cache that cannot be written is done without."""
    aside = path.with_suffix(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type] # no array is called `allow_pickle`
        aside.replace(path)
        by_age = sorted(path.parent.glob("*.npz"), key=lambda each: each.stat().st_mtime)
        for old in by_age[:-_KEPT_FILES]:
            old.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("%s cannot be written (%s): nothing is cached", path.parent, error.strerror)
        aside.unlink(missing_ok=True)


def known_examples(source: Source, folder: Path) -> Examples:
    """A data set's examples without pixels: read from the cache if its content has not changed, else decoded.

    Raises:
        DataError: see `read_examples`.
    """
    path = folder / f"data-{_digest(source)[:32]}.npz"
    if (known := load(path)) is not None:
        _log.info("%s: %d pictures, known already", source.title, len(known["rows"]))
        return Examples(
            source=source,
            squares=np.zeros((len(known["rows"]), 3, 0, 0), dtype=np.uint8),
            digests=tuple(known["digests"].tolist()),
            skipped=Counter(json.loads(str(known["skipped"]))),
            **{name: known[name] for name in _ARRAYS},
        )
    examples = read_examples(source)
    arrays = {name: getattr(examples, name) for name in _ARRAYS}
    skipped = json.dumps(examples.skipped)
    keep(path, {**arrays, "digests": np.array(examples.digests), "skipped": np.array(skipped)})
    return examples


_ARRAYS = ("rows", "labels", "hashes", "certain", "aspects")


def _digest(source: Source) -> str:
    """Of every row, in order."""
    total = hashlib.sha256(json.dumps([_FORMAT, source.labels]).encode())
    for batch in source.batches():
        for row in batch:
            total.update(f"{row.label} {hashlib.sha256(row.data or b'').hexdigest()}\n".encode())
    return total.hexdigest()

"""`python -m train prepare`: a copy of a data set that is small, complete and says where it comes from.

Training reads it as any folder. Pictures that are larger than needed are made smaller, once instead of at every run;
the others keep their bytes, and so do files that cannot be read, for the audit to find.
"""

import io
import json
import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm import tqdm

from catdog.cli import counted, printable
from catdog.errors import DataError, ImageError, SettingsError
from catdog.files import sync_tree
from catdog.images.decode import decode_image
from catdog.images.phash import Fingerprint, fingerprint, pack
from catdog.model.metadata import SPLITS_FILE
from train.data.source import ORIGIN_FILE, Row, Source, open_source
from train.data.splits import SPLITS, Manifest, assign_splits, read_manifest, write_manifest
from train.failures import clear_disk_errors

_FILE = "data/train-00000-of-00001.parquet"  # a name by which `datasets` finds the split
_QUALITY = 95
_NAMED = 10
_THREADS = min(4, os.cpu_count() or 1)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was written."""

    rows: int
    unreadable: int
    """Rows without a label, a picture, or one that can be decoded; they are in no split."""
    smaller: int
    """Pictures that were made smaller."""
    splits: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Copy:
    row: Row
    fingerprint: Fingerprint | None
    """None if it cannot be used."""
    smaller: bool = False


def prepare(  # noqa: PLR0913 - each is one thing
    data: str, out: Path, *, revision: str | None = None, side: int = 256, seed: int = 0, splits: Path | None = None
) -> Prepared:
    """Copy a data set as Parquet, with the split manifest beside it.

    Args:
        data: A Hub data set id or a folder.
        out: The folder to make.
        revision: Branch, tag or commit of the Hub data set; the copy notes the commit.
        side: Pictures whose shorter side is longer than this many pixels are made that small.
        seed: Of the split.
        splits: An earlier manifest: pictures that it knows, and their near-duplicates, keep their split.

    Raises:
        SettingsError: the folder exists already, or cannot be written.
        ModelError: the earlier manifest is missing or damaged.
        DataError: the data cannot be used, or the disk is full.
        HubError: see `open_source`.
    """
    if out.exists():
        raise SettingsError(f"{out} exists already. Choose another --out, or delete it.")
    earlier = None if splits is None else read_manifest(splits)
    source = open_source(data, revision=revision)
    aside = out.with_name(f"{out.name}.partial")
    with clear_disk_errors(out):
        shutil.rmtree(aside, ignore_errors=True)
        (aside / _FILE).parent.mkdir(parents=True)
        copies = _write_rows(source, aside / _FILE, side)
        _name_unusable(source, copies)
        counts = _write_splits(copies, source, aside / SPLITS_FILE, seed, earlier)
        origin = {"name": source.title, "revision": source.revision, "rows": len(source), "side": side}
        (aside / ORIGIN_FILE).write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
        sync_tree(aside)
        aside.rename(out)
    return Prepared(
        rows=len(copies),
        unreadable=sum(copy.fingerprint is None for copy in copies),
        smaller=sum(copy.smaller for copy in copies),
        splits=counts,
    )


def shrink(data: bytes, side: int) -> tuple[bytes, Image.Image]:
    """A picture's bytes and pixels, its shorter side at most `side`; unchanged bytes if it is that small already.

    Raises:
        ImageError: it cannot be decoded.
    """
    image = decode_image(data)
    factor = side / min(image.size)
    if factor >= 1:
        return data, image
    width, height = (max(side, round(length * factor)) for length in image.size)
    file = io.BytesIO()
    image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0).save(
        file, "JPEG", quality=_QUALITY, subsampling=0
    )
    # What later readers will see: the hash, too, is of the copy.
    return file.getvalue(), decode_image(file.getvalue())


def _write_rows(source: Source, path: Path, side: int) -> list[_Copy]:
    """Write all rows in their order; returns what is known of each, without its bytes."""
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(source.labels))})
    schema = features.arrow_schema
    copies: list[_Copy] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _copies(source, side):
            images = [{"bytes": copy.row.data, "path": None} for copy in batch]
            labels = [copy.row.label for copy in batch]
            writer.write_table(pa.table({"image": images, "label": labels}, schema=schema))
            copies += [replace(copy, row=Row(copy.row.index, None, copy.row.label)) for copy in batch]
    return copies


def _name_unusable(source: Source, copies: list[_Copy]) -> None:
    """Say which rows are in no split; they are copied all the same."""
    rows = [copy.row.index for copy in copies if copy.fingerprint is None]
    if rows:
        names = ", ".join(printable(source.row_name(row)) for row in rows[:_NAMED]) + (
            ", …" if len(rows) > _NAMED else ""
        )
        _log.warning("%s can't be used, and will be in no split: %s", counted(len(rows), "row"), names)


def _copies(source: Source, side: int) -> Iterator[list[_Copy]]:
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        tqdm(total=len(source), desc="preparing", unit="img", leave=False, disable=None) as bar,
    ):
        for rows in source.batches():
            yield list(pool.map(lambda row: _copy(row, side), rows))
            bar.update(len(rows))


def _copy(row: Row, side: int) -> _Copy:
    if row.data is None or row.label is None:
        return _Copy(row, None)
    try:
        data, image = shrink(row.data, side)
    except ImageError:
        return _Copy(row, None)
    return _Copy(Row(row.index, data, row.label), fingerprint(image), smaller=data is not row.data)


def _write_splits(
    copies: list[_Copy], source: Source, path: Path, seed: int, earlier: Manifest | None
) -> dict[str, int]:
    """Write the manifest; returns how many pictures each split has."""
    prints = [copy.fingerprint for copy in copies if copy.fingerprint is not None]
    labels = np.array([copy.row.label for copy in copies if copy.fingerprint is not None], dtype=np.int64)
    if not prints:
        raise DataError(f"{source.name} has no readable picture with a label. Nothing can be prepared.")
    packed, certain = pack([each.phash for each in prints]), pack([each.certain for each in prints])
    splits = assign_splits(packed, labels, seed=seed, earlier=earlier, certain=certain)
    write_manifest(path, packed, splits)
    return {split: int((splits == split).sum()) for split in SPLITS}

"""Feedback rows as Parquet, in the form that `datasets`, the Hub's viewer and pandas open by themselves."""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from catdog.errors import FeedbackError
from feedback.decision import Decision, ReviewedRow
from feedback.row import FeedbackRow

log = logging.getLogger(__name__)

EXPORT_FILE = "feedback.hub.parquet"
_GROUP_ROWS = 500
_GROUP_BYTES = 16_000_000
"""Limits of a row group, which is what is in memory, and what a viewer reads to show one page."""

_STRINGS = pa.list_(pa.string())
_ARROW_TYPES = {
    "at": pa.timestamp("us", tz="UTC"),
    "created_at": pa.timestamp("us", tz="UTC"),
    "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    "labels": _STRINGS,
    "probabilities": pa.list_(pa.float32()),
    "schema_version": pa.int32(),
}
# What `datasets` makes of each type. Lists as [feature], the one spelling that all its versions read.
_FEATURES = {
    "at": {"dtype": "timestamp[us, tz=UTC]", "_type": "Value"},
    "created_at": {"dtype": "timestamp[us, tz=UTC]", "_type": "Value"},
    "image": {"_type": "Image"},
    "labels": [{"dtype": "string", "_type": "Value"}],
    "probabilities": [{"dtype": "float32", "_type": "Value"}],
    "schema_version": {"dtype": "int32", "_type": "Value"},
}
_STRING_FEATURE = {"dtype": "string", "_type": "Value"}


def _schema(columns: Iterable[str]) -> pa.Schema:
    columns = tuple(columns)
    features = {column: _FEATURES.get(column, _STRING_FEATURE) for column in columns}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([(column, _ARROW_TYPES.get(column, pa.string())) for column in columns], metadata=metadata)


ROW_SCHEMA = _schema(column.name for column in fields(FeedbackRow))
"""The columns of a feedback row, schema 1."""
EXPORT_SCHEMA = _schema([*ROW_SCHEMA.names, "status"])
"""The same with what the maintainer decided: pending, accepted or rejected."""
PERSON_SAID = "person_said"
"""In `extra` of an exported row: the person's answer, where the maintainer's label has taken its place."""
DECISION_SCHEMA = _schema(column.name for column in fields(Decision))
"""The columns of a decision."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    path: Path
    rows: int
    damaged: int
    """Rows left out because their picture is not what was saved: a sign of a failing disk."""


def export(reviewed: Iterable[ReviewedRow], out: Path) -> Exported:
    """Write rows and what was decided about them to `feedback.hub.parquet` in a folder.

    An earlier export is replaced in one step, or not at all.
    One group of rows at a time is in memory, however many there are.

    Raises:
        FeedbackError: the folder cannot be written to, or the disk is full.
    """
    damaged = 0

    def sound() -> Iterator[dict[str, Any]]:
        nonlocal damaged
        for each in reviewed:
            if _is_sound(each.row):
                yield _reviewed_record(each)
            else:
                damaged += 1
                log.warning("The picture of row %s is damaged; the row is left out.", each.row.id)

    try:
        out.mkdir(parents=True, exist_ok=True)
        with _aside(out / EXPORT_FILE) as draft:
            written = write_parquet(sound(), draft, EXPORT_SCHEMA)
    except OSError as error:
        raise FeedbackError(f"{out} cannot be written: {error.strerror or error}. Nothing was exported.") from None
    return Exported(path=out / EXPORT_FILE, rows=written, damaged=damaged)


def write_parquet(records: Iterable[dict[str, Any]], path: Path | BinaryIO, schema: pa.Schema) -> int:
    """Write records to one Parquet file, by its name or opened, a row group at a time.

    Returns:
        How many there were.

    Raises:
        OSError: the file cannot be written.
    """
    count = 0
    # Content-defined chunks keep the bytes of unchanged rows unchanged, so that a hub need not store them twice.
    with pq.ParquetWriter(
        path, schema, compression="zstd", use_content_defined_chunking=True, write_page_index=True
    ) as writer:
        for group in _groups(records):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count


def _groups(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for record in records:
        group.append(record)
        size += len(record["image"]["bytes"]) if "image" in record else 0
        if len(group) == _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """Lend a name beside a file; what was written there takes the file's place if all goes well, else it is deleted."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _is_sound(row: FeedbackRow) -> bool:
    return hashlib.sha256(row.image).hexdigest() == row.image_sha256


def record_of(row: FeedbackRow) -> dict[str, Any]:
    """A row as `ROW_SCHEMA` has it."""
    record = {column: getattr(row, column) for column in ROW_SCHEMA.names}
    return {**record, "image": {"bytes": row.image, "path": f"{row.id}.jpg"}, "source": row.source.value}


def _reviewed_record(reviewed: ReviewedRow) -> dict[str, Any]:
    """A row as `EXPORT_SCHEMA` has it: `corrected_label` is the label that counts; another answer moves to `extra`."""
    row = reviewed.row
    if reviewed.label != row.corrected_label:
        extra = json.dumps({**json.loads(row.extra), PERSON_SAID: row.corrected_label})
        row = replace(row, corrected_label=reviewed.label, extra=extra)
    return {**record_of(row), "status": reviewed.status.value}

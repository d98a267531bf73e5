"""Feedback rows as Parquet, in the form that `datasets`, the Hub's viewer and pandas open by themselves."""

import hashlib
import json
import logging
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from catdog.errors import FeedbackError
from catdog.files import replacing
from feedback.decision import Decision, ReviewedRow, Status
from feedback.row import FeedbackRow, Source

log = logging.getLogger(__name__)

EXPORT_FILE = "feedback.parquet"
_GROUP_ROWS = 500
_GROUP_BYTES = 16_000_000
"""Limits of a row group, which is what is in memory, and what a viewer reads to show one page."""

_READ_ROWS, _READ_BYTES = 100, 64_000_000

_ID, _HASH = re.compile(r"[\w-]{1,64}", re.ASCII), re.compile(r"[0-9a-f]{64}")
_LONGEST_WORD, _LONGEST_EXTRA, _MOST_LABELS = 500, 20_000, 1000
_LARGEST_PICTURE, _MOST_NESTED = 5_000_000, 100

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
    """Write rows and what was decided about them to `feedback.parquet` in a folder.

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
        with replacing(out / EXPORT_FILE) as draft:
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


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What is left of a shard."""

    content: BinaryIO | None
    """None if nothing is."""


def rows_shard(rows: Iterable[FeedbackRow]) -> BinaryIO | None:
    """Write rows to a file without a name, of which a process that is killed leaves nothing; None if there are none.

    Raises:
        FeedbackError: the disk is full.
    """
    return _written((record_of(row) for row in rows), ROW_SCHEMA)


def decisions_shard(decisions: Iterable[Decision]) -> BinaryIO | None:
    """Write decisions likewise."""
    return _written((_decision_record(decision) for decision in decisions), DECISION_SCHEMA)


def without(path: Path, ids: Collection[str]) -> Rewritten | None:
    """A shard without some rows, or without the decisions about them; None if it has none of them.

    Raises:
        FeedbackError: it cannot be read.
    """
    with reading(path) as file:
        about = "row_id" if "row_id" in file.schema_arrow.names else "id"
        if all(record[about] not in ids for record in _in(file, [about])):
            return None
        kept = (record for record in _in(file, None) if record[about] not in ids)
        return Rewritten(_written(kept, file.schema_arrow))


def read_rows(path: Path, *, pictures: bool = True) -> Iterator[FeedbackRow]:
    """The rows of a shard, a few at a time; without `pictures`, `image` is empty.

    Raises:
        FeedbackError: it cannot be read, or lacks a column.
    """
    columns = [column for column in ROW_SCHEMA.names if pictures or column != "image"]
    with reading(path) as file:
        yield from map(_row, _records(path, file, columns))


def read_decisions(path: Path) -> Iterator[Decision]:
    """The decisions of a shard likewise."""
    with reading(path) as file:
        yield from map(_decision, _records(path, file, DECISION_SCHEMA.names))


@contextmanager
def reading(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a shard.

    Raises:
        FeedbackError: it cannot be read, now or while the block reads it, or holds values that make no sense.
    """
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise FeedbackError(f"The shard {path.name} cannot be read: {error}. Mend it on the Hub.") from None


def batches(file: pq.ParquetFile, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """A file's columns, all of them if None, so few rows at a time that they take little memory.

    Each value of a column may be as large as all that is stored of them together: equal ones are stored once.
    """
    declared = file.metadata
    groups = (declared.row_group(number) for number in range(declared.num_row_groups))
    sizes = (group.column(n).total_uncompressed_size for group in groups for n in range(group.num_columns))
    rows = _READ_BYTES // max(1, *sizes, 1)
    yield from file.iter_batches(max(1, min(_READ_ROWS, rows)), columns=columns, use_threads=False)


def _records(path: Path, file: pq.ParquetFile, columns: list[str]) -> Iterator[dict[str, Any]]:
    if missing := set(columns) - set(file.schema_arrow.names):
        raise FeedbackError(f"The shard {path.name} lacks {', '.join(sorted(missing))}: it is not feedback.")
    return _in(file, columns)


def _in(file: pq.ParquetFile, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    for batch in batches(file, columns):
        yield from batch.to_pylist()


def _row(record: dict[str, Any]) -> FeedbackRow:
    """A record as a row.

    Raises:
        ValueError, TypeError: its values make no sense.
    """
    image = record.get("image") or {}
    values = {
        "image": image.get("bytes") or b"",
        "labels": tuple(record["labels"]),
        "probabilities": tuple(record["probabilities"]),
        "source": Source(record["source"]),
    }
    row = FeedbackRow(**{**record, **values})
    _check(row)
    return row


def _check(row: FeedbackRow) -> None:
    words = (row.request_id, row.predicted_label, row.verdict, row.corrected_label, row.client, row.app_version)
    named = (*words, row.model_id, row.model_revision, *row.labels)
    if not (_ID.fullmatch(row.id) and _HASH.fullmatch(row.image_phash) and _HASH.fullmatch(row.image_sha256)):
        raise ValueError("an id or a hash has another form")
    if max(map(len, named)) > _LONGEST_WORD or len(row.extra) > _LONGEST_EXTRA or len(row.labels) > _MOST_LABELS:
        raise ValueError("a text or a list is too long")
    if len(row.image) > _LARGEST_PICTURE:
        raise ValueError("a picture is too large")
    if not row.labels or len(row.labels) != len(row.probabilities) or not all(0 <= p <= 1 for p in row.probabilities):
        raise ValueError("there must be a probability for each label")
    if row.extra.count("[") + row.extra.count("{") > _MOST_NESTED:
        raise ValueError("extra is nested too deep")
    if not (_is_in_a_zone(row.created_at) and isinstance(json.loads(row.extra), dict)):
        raise ValueError("created_at has no time zone, or extra is no JSON object")


def _decision(record: dict[str, Any]) -> Decision:
    """Likewise a decision."""
    made = Decision(**{**record, "status": Status(record["status"])})
    words = (made.reason, made.by, made.corrected_label or "")
    if not (_ID.fullmatch(made.id) and _ID.fullmatch(made.row_id)) or max(map(len, words)) > _LONGEST_EXTRA:
        raise ValueError("an id has another form, or a text is too long")
    if not _is_in_a_zone(made.at):
        raise ValueError("at has no time zone")
    return made


def _is_in_a_zone(time: object) -> bool:
    return isinstance(time, datetime) and time.tzinfo is not None


def _written(records: Iterable[dict[str, Any]], schema: pa.Schema) -> BinaryIO | None:
    try:
        with ExitStack() as stack:
            file = stack.enter_context(tempfile.TemporaryFile())
            if not write_parquet(records, file, schema):
                return None
            stack.pop_all()  # the caller closes it
            return file
    except OSError as error:
        raise FeedbackError(
            f"The shard cannot be written to {tempfile.gettempdir()}: {error.strerror or error}. Make room on the disk."
        ) from None


def _decision_record(decision: Decision) -> dict[str, Any]:
    record = {column: getattr(decision, column) for column in DECISION_SCHEMA.names}
    return {**record, "status": decision.status.value}

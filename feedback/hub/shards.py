"""Parquet shards of the feedback data set: written from rows and decisions, and rewritten without some."""

import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from catdog.errors import FeedbackError
from feedback.decision import Decision, Status
from feedback.hub.parquet import DECISION_SCHEMA, ROW_SCHEMA, record_of, write_parquet
from feedback.row import FeedbackRow, Source

_READ_ROWS = 100


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
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise FeedbackError(f"The shard {path.name} cannot be read: {error}. Mend it on the Hub.") from None
    about = table["row_id" if "row_id" in table.column_names else "id"]
    kept = table.filter(pa.array([row_id not in ids for row_id in about.to_pylist()], pa.bool_()))
    if kept.num_rows == table.num_rows:
        return None
    return Rewritten(_written(kept.to_pylist(), kept.schema))


def read_rows(path: Path, *, pictures: bool = True) -> Iterator[FeedbackRow]:
    """The rows of a shard, a few at a time; without `pictures`, `image` is empty.

    Raises:
        FeedbackError: it cannot be read, or lacks a column.
    """
    columns = [column for column in ROW_SCHEMA.names if pictures or column != "image"]
    return (_row(record) for record in _records(path, columns))


def read_decisions(path: Path) -> Iterator[Decision]:
    """The decisions of a shard likewise."""
    for record in _records(path, DECISION_SCHEMA.names):
        yield Decision(**{**record, "status": Status(record["status"])})


def _records(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(path) as file:
            if missing := set(columns) - set(file.schema_arrow.names):
                raise FeedbackError(f"The shard {path.name} lacks {', '.join(sorted(missing))}: it is no feedback.")
            for batch in file.iter_batches(_READ_ROWS, columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise FeedbackError(f"The shard {path.name} cannot be read: {error}. Mend it on the Hub.") from None


def _row(record: dict[str, Any]) -> FeedbackRow:
    image = record.get("image") or {}
    values = {
        "image": image.get("bytes") or b"",
        "labels": tuple(record["labels"]),
        "probabilities": tuple(record["probabilities"]),
        "source": Source(record["source"]),
    }
    return FeedbackRow(**{**record, **values})


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

"""Feedback as one pandas DataFrame: rows of the journal and of the Hub, joined with the decisions about them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from catdog.settings import Settings, load_settings
from feedback.decision import ReviewedRow
from feedback.hub.rows import create_collection
from feedback.journal.journal import JOURNAL_FILE, Journal
from feedback.row import FeedbackRow

_MAX_AGE_S = 600.0
_IMAGE = "image"
_DECIDED = ("status", "label", "decided_by", "decided_at", "reason")


def read_frame(data_dir: Path | None, *, pictures: bool) -> pd.DataFrame:
    """See `feedback.frame`."""
    settings = load_settings()
    if data_dir is not None:
        settings = settings.model_copy(update={"data_dir": data_dir})
    return frame_of(_reviewed(settings, pictures=pictures), pictures=pictures)


def frame_of(reviewed: Iterable[ReviewedRow], *, pictures: bool = False) -> pd.DataFrame:
    """Rows with what was decided about them as a DataFrame, see `feedback.frame`.

    Args:
        reviewed: The rows, in the order that the frame is to have.
        pictures: Whether there is a column `image`; without it, the rows' pictures may be empty.
    """
    columns = [column.name for column in fields(FeedbackRow) if pictures or column.name != _IMAGE]
    records = (_record(each, columns) for each in reviewed)
    found = pd.DataFrame.from_records(list(records), columns=[*columns, *_DECIDED])
    for time in ("created_at", "decided_at"):
        found[time] = pd.to_datetime(found[time], utc=True)
    return found


def _reviewed(settings: Settings, *, pictures: bool) -> Iterator[ReviewedRow]:
    if not settings.feedback_repo and not (settings.data_dir / JOURNAL_FILE).is_file():
        return
    with Journal.open_to_read(settings.data_dir) as journal:
        yield from create_collection(journal, settings, max_age_s=_MAX_AGE_S).reviewed(pictures=pictures)


def _record(reviewed: ReviewedRow, columns: Sequence[str]) -> list[Any]:
    """The cells of a row; enumerations as text, and lists in place of tuples, as Parquet has them."""
    row, decision = reviewed.row, reviewed.decision
    kept: dict[str, Any] = {
        "labels": list(row.labels),
        "probabilities": list(row.probabilities),
        "source": row.source.value,
    }
    cells = [kept.get(column, getattr(row, column)) for column in columns]
    decided = (decision.by, decision.at, decision.reason) if decision else (None, None, None)
    return [*cells, reviewed.status.value, reviewed.label, *decided]

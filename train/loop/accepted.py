"""Feedback that the maintainer accepted, from an export, or from the Hub together with this machine's journal."""

import hashlib
import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catdog.errors import DataError, SettingsError
from catdog.hub.client import HubClient
from catdog.settings import Settings
from feedback.decision import ReviewedRow, Status
from feedback.hub.dataset import FeedbackDataset
from feedback.hub.rows import Collection
from feedback.journal.journal import JOURNAL_FILE, Journal
from feedback.row import AUDIT, SHADOW
from feedback.votes import counting
from train.gate.evidence import Asked

_COLUMNS = ["id", "image", "image_sha256", "corrected_label", "client", "extra"]
_BATCH = 200
_AHEAD = "+local"


@dataclass(frozen=True, slots=True)
class AcceptedRow:
    """What retraining needs of one feedback row."""

    id: str
    """UUIDv7: ids sort by time."""
    image: bytes
    image_sha256: str
    """As it was recorded, of `image`."""
    corrected_label: str
    """The label that counts: the maintainer's, else what the person said."""
    client: str
    """May be empty."""
    asked: Asked = Asked.VOLUNTEERED


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an export says of a row without its picture."""

    id: str
    request_id: str
    client: str
    image_sha256: str
    status: str


@dataclass(frozen=True, slots=True)
class Feedback:
    """Accepted rows, oldest first; which rows count is for `feedback.votes` to say."""

    name: str
    revision: str
    """The Hub commit, with `+local` if the journal had more; or `local-` and 12 digits of the files' hash."""
    rows: tuple[AcceptedRow, ...]


def open_feedback(feedback: str, settings: Settings) -> Feedback:
    """Open an export's folder, or the feedback data set on the Hub.

    If that is the data set of the settings, the rows and decisions that the journal has not sent yet count too.

    Raises:
        SettingsError: there is neither.
        DataError, FeedbackError: it cannot be read as feedback, or the journal cannot.
        HubError: the Hub cannot be reached, or refuses.
    """
    if Path(feedback).is_dir():
        return read_export(Path(feedback))
    if feedback.count("/") != 1 or feedback.startswith((".", "/")):
        raise SettingsError(f"--feedback {feedback}: there is no such folder, and it is no Hub data set (USER/NAME).")
    dataset = FeedbackDataset(HubClient.of(settings), feedback)
    has_journal = feedback == settings.feedback_repo and (settings.data_dir / JOURNAL_FILE).is_file()
    # Copies of pictures, which do not stay on this disk, and an empty journal where there is none.
    with (
        tempfile.TemporaryDirectory(prefix="catdog-feedback-") as folder,
        Journal.open_to_read(settings.data_dir if has_journal else Path(folder)) as journal,
    ):
        return read_collection(Collection(journal, dataset, Path(folder), max_age_s=math.inf), feedback, journal)


def read_export(folder: Path) -> Feedback:
    """Read what `python -m feedback export` wrote.

    Raises:
        SettingsError: there is no Parquet file in the folder.
        DataError: a file cannot be read, or lacks a column.
    """
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        raise SettingsError(
            f"--feedback {folder} holds no Parquet file. Make it with `python -m feedback export --out DIR`."
        )
    answers = counting(_Answer(**record) for record in _records(paths, [*_Answer.__slots__]))
    accepted = {row_id for row_id, answer in answers.items() if answer.status == Status.ACCEPTED}
    rows = {each["id"]: _row(each) for each in _records(paths, _COLUMNS) if each["id"] in accepted}
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()
    return Feedback(folder.resolve().name, f"local-{digest:.12}", tuple(rows[row_id] for row_id in sorted(rows)))


def read_collection(collection: Collection, name: str, journal: Journal) -> Feedback:
    """Read what was accepted of all feedback that there is.

    Raises:
        SettingsError: there is no such data set, or none that the token may see, and the journal has nothing for it.
        FeedbackError: the journal or a shard cannot be read.
        HubError: the Hub cannot be reached, or refuses.
    """
    revision, waiting = collection.revision, journal.pending()
    is_ahead = bool(waiting.rows or waiting.decisions)
    if revision is None and not is_ahead:
        raise SettingsError(f"--feedback {name}: the Hub has no such data set that this token may see.")
    rows = [_reviewed(each) for each in collection.reviewed() if each.status is Status.ACCEPTED]
    rows.sort(key=lambda row: row.id)
    return Feedback(name, f"{revision or ''}{_AHEAD if is_ahead else ''}", tuple(rows))


def _reviewed(each: ReviewedRow) -> AcceptedRow:
    row = each.row
    return AcceptedRow(row.id, row.image, row.image_sha256, each.label, row.client, how_asked(row.extra))


def how_asked(extra: str | None) -> Asked:
    """How a row came about, by its `extra`; what cannot be read there says nothing."""
    try:
        facts = json.loads(extra or "{}")
    except ValueError:
        return Asked.VOLUNTEERED
    if not isinstance(facts, dict):
        return Asked.VOLUNTEERED
    if facts.get(AUDIT) is True:
        return Asked.SAMPLE
    return Asked.SHADOW if facts.get(SHADOW) else Asked.VOLUNTEERED


def _row(record: Mapping[str, Any]) -> AcceptedRow:
    return AcceptedRow(
        id=record["id"],
        image=(record["image"] or {}).get("bytes") or b"",
        image_sha256=record["image_sha256"],
        corrected_label=record["corrected_label"],
        client=record["client"] or "",
        asked=how_asked(record["extra"]),
    )


def _records(paths: Iterable[Path], columns: list[str]) -> Iterator[dict[str, Any]]:
    """Some columns of some files; not all rows are in memory at once.

    Raises:
        DataError: a file cannot be read, or lacks a column.
    """
    for path in paths:
        try:
            with path.open("rb") as opened, pq.ParquetFile(opened) as file:  # Arrow opens no path that isn't UTF-8
                if missing := set(columns) - set(file.schema_arrow.names):
                    raise DataError(
                        f"{path} is not feedback: it has no column {', '.join(sorted(missing))}. Export it again."
                    )
                for batch in file.iter_batches(_BATCH, columns=columns):
                    yield from batch.to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} cannot be read as feedback: {error}. Export it again.") from None

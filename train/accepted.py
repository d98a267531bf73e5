"""Feedback that the maintainer accepted, from an export or from the data set on the Hub."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfApi

from catdog.errors import DataError, SettingsError
from catdog.settings import Settings
from feedback.dataset import FeedbackDataset
from feedback.outbox import DECISIONS_FOLDER, ROWS_FOLDER

_ACCEPTED = "accepted"
_COLUMNS = ["id", "image", "image_sha256", "corrected_label", "client"]
_BATCH = 200

Accepted = Mapping[str, str | None]
"""From the id of an accepted row to the label that the maintainer gave it instead, if any."""


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


@dataclass(frozen=True, slots=True)
class Feedback:
    """Accepted rows, oldest first; of each request the newest answer alone."""

    name: str
    revision: str
    """The Hub commit, or `local-` and 12 digits of the files' hash."""
    rows: tuple[AcceptedRow, ...]


def open_feedback(feedback: str, settings: Settings) -> Feedback:
    """Open an export's folder, or the feedback data set on the Hub.

    Raises:
        SettingsError: there is neither.
        DataError: it cannot be read as feedback.
        HubError: the Hub cannot be reached, or refuses.
    """
    if Path(feedback).is_dir():
        return read_export(Path(feedback))
    if feedback.count("/") != 1 or feedback.startswith((".", "/")):
        raise SettingsError(f"--feedback {feedback}: there is no such folder, and it is no Hub data set (USER/NAME).")
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    return read_dataset(FeedbackDataset(HfApi(endpoint=settings.hf_endpoint, token=token), feedback))


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
    accepted = {each["id"]: None for each in _records(paths, ["id", "status"]) if each["status"] == _ACCEPTED}
    rows = _read_rows(paths, accepted)
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in paths)).hexdigest()
    return Feedback(folder.resolve().name, f"local-{digest:.12}", rows)


def read_dataset(dataset: FeedbackDataset) -> Feedback:
    """Read rows and decisions from the Hub; nothing of them stays on this disk.

    Raises:
        SettingsError: there is no such data set, or none that the token may see.
        DataError: a shard cannot be read.
        HubError: the Hub cannot be reached, or refuses.
    """
    head = dataset.head()
    if head is None:
        raise SettingsError(f"--feedback {dataset.repo_id}: the Hub has no such data set that this token may see.")
    with tempfile.TemporaryDirectory(prefix="catdog-feedback-") as folder:
        rows, decisions = (
            [dataset.download(head, path, Path(folder)) for path in head.shards(kind)]
            for kind in (ROWS_FOLDER, DECISIONS_FOLDER)
        )
        return Feedback(dataset.repo_id, head.commit, _read_rows(rows, _decided(decisions)))


def _decided(paths: Sequence[Path]) -> Accepted:
    """What the newest decision about each row accepts."""
    newest: dict[str, dict[str, Any]] = {}
    for decision in _records(paths, ["id", "row_id", "status", "corrected_label"]):
        if decision["id"] > newest.get(decision["row_id"], {"id": ""})["id"]:
            newest[decision["row_id"]] = decision
    return {row: each["corrected_label"] for row, each in newest.items() if each["status"] == _ACCEPTED}


def _read_rows(paths: Sequence[Path], accepted: Accepted) -> tuple[AcceptedRow, ...]:
    """The accepted rows that are the newest answer to their request."""
    newest: dict[str, str] = {}
    for record in _records(paths, ["id", "request_id"]):
        newest[record["request_id"]] = max(record["id"], newest.get(record["request_id"], ""))
    counting = accepted.keys() & newest.values()
    rows = {each["id"]: _row(each, accepted) for each in _records(paths, _COLUMNS) if each["id"] in counting}
    return tuple(rows[row_id] for row_id in sorted(rows))


def _row(record: Mapping[str, Any], accepted: Accepted) -> AcceptedRow:
    return AcceptedRow(
        id=record["id"],
        image=(record["image"] or {}).get("bytes") or b"",
        image_sha256=record["image_sha256"],
        corrected_label=accepted[record["id"]] or record["corrected_label"],
        client=record["client"] or "",
    )


def _records(paths: Iterable[Path], columns: list[str]) -> Iterator[dict[str, Any]]:
    """Some columns of some files; not all rows are in memory at once.

    Raises:
        DataError: a file cannot be read, or lacks a column.
    """
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                if missing := set(columns) - set(file.schema_arrow.names):
                    raise DataError(
                        f"{path} is no feedback: it has no column {', '.join(sorted(missing))}. Export it again."
                    )
                for batch in file.iter_batches(_BATCH, columns=columns):
                    yield from batch.to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} cannot be read as feedback: {error}. Export it again.") from None

"""Rows and decisions in SQLite, and what counts as the same answer. The caller provides connection and commit."""

import hashlib
import json
import secrets
import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from catdog.errors import CatdogError, KeyReusedError, RateLimitedError, UnknownRowError
from feedback.decision import Decision, Status, later_than
from feedback.row import FeedbackRow, Source, text

_HOUR_S = 3600.0
_COLUMNS = tuple(column.name for column in fields(FeedbackRow) if column.name != "image")
_PROBABILITIES = _COLUMNS.index("probabilities")
_SOURCES = {source.value: source for source in Source}
_INSERT = (
    f"INSERT INTO rows ({', '.join(_COLUMNS)}, receipt_hash, idempotency_hash) "  # noqa: S608 - names of our own
    f"VALUES ({', '.join('?' * (len(_COLUMNS) + 2))})"
)
SELECT_ROWS = f"SELECT {', '.join(_COLUMNS)}, jpeg FROM rows JOIN pictures USING (seq)"  # noqa: S608 - names of our own
"""The start of a query whose records `rows_from` understands."""
SELECT_ROWS_ALONE = f"SELECT {', '.join(_COLUMNS)}, x'' FROM rows"  # noqa: S608 - names of our own
"""The same with empty pictures: those are most of the bytes."""
_DECISION_COLUMNS = tuple(column.name for column in fields(Decision))
_DECISION_NAMES = ", ".join(f'"{column}"' for column in _DECISION_COLUMNS)  # quoted, as BY is a word of SQL
_INSERT_DECISION = f"INSERT INTO decisions ({_DECISION_NAMES}) VALUES ({', '.join('?' * len(_DECISION_COLUMNS))})"  # noqa: S608 - names of our own
SELECT_DECISIONS = f"SELECT {_DECISION_NAMES} FROM decisions"  # noqa: S608 - names of our own
"""The start of a query whose records `decision_from` understands."""
NOT_AUDIT = "json_extract(extra, '$.audit') IS NULL"
"""What holds of rows that somebody answered; see `feedback.review.audit`."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A row that is on the disk."""

    id: str
    receipt: str | None
    """The secret that deletes the row, handed out once; None if the row was there before."""
    created: bool
    """False if the same answer was there before."""


def insert(
    db: sqlite3.Connection, row: FeedbackRow, *, idempotency_key: str | None, per_day: int | None
) -> Saved | CatdogError:
    """Add a row, unless its answer is there; the newest answer to a request supersedes the others.

    An error of this row alone is returned, not raised: the others of the same transaction go on.
    """
    key_hash = None if idempotency_key is None else _hash(idempotency_key)
    if key_hash and (used := _find_key(db, key_hash)):
        return _repeated(row, used)
    newest = db.execute(
        "SELECT id, corrected_label FROM rows WHERE request_id = ? ORDER BY id DESC LIMIT 1", (row.request_id,)
    ).fetchone()
    if newest and newest[1] == row.corrected_label:
        return Saved(id=newest[0], receipt=None, created=False)
    if per_day is not None and _answers_of_a_day(db, row) >= per_day:
        return RateLimitedError(
            f"Thank you, but more than {per_day} corrections a day are not kept. "
            "Yours was NOT saved; send it tomorrow.",
            retry_after_s=_HOUR_S,
        )
    if newest and newest[0] >= row.id:  # the clock was set back; the newest answer must still have the largest id
        row = replace(row, id=_next_id(newest[0]))
    _supersede(db, row)
    receipt = f"{row.id}.{secrets.token_urlsafe(24)}"
    cursor = db.execute(_INSERT, (*_record(row), _hash(receipt), key_hash))
    db.execute("INSERT INTO pictures (seq, jpeg) VALUES (?, ?)", (cursor.lastrowid, row.image))
    return Saved(id=row.id, receipt=receipt, created=True)


def delete_request(db: sqlite3.Connection, receipt: str) -> bool:
    """Delete all answers to the request of a receipt's row; ids and receipt hashes stay, for copies must follow.

    Returns:
        False if there never was a row with this receipt.
    """
    key = {"id": text(receipt.partition(".")[0]), "hash": _hash(receipt)}
    if db.execute("SELECT 1 FROM deletions WHERE id = :id AND receipt_hash = :hash", key).fetchone():
        return True
    found = db.execute(
        "SELECT seq FROM rows WHERE request_id = (SELECT request_id FROM rows WHERE id = :id AND receipt_hash = :hash)",
        key,
    ).fetchall()
    for (seq,) in found:
        delete_row(db, seq)
    return bool(found)


def delete_row(db: sqlite3.Connection, seq: int) -> None:
    """Delete a row with its picture and decisions; what stays is its id, and where on the Hub it must be removed.

    If its client answered about the same picture before, that answer counts again.
    """
    (vote,) = db.execute("SELECT image_sha256, client FROM rows WHERE seq = ?", (seq,)).fetchall()
    db.execute(
        "INSERT INTO deletions (id, receipt_hash, deleted_at, repo_id) "
        "SELECT id, receipt_hash, ?, repo_id FROM rows LEFT JOIN batches ON batch = number WHERE seq = ?",
        (datetime.now(UTC).isoformat(timespec="microseconds"), seq),
    )
    db.execute("DELETE FROM decisions WHERE row_id = (SELECT id FROM rows WHERE seq = ?)", (seq,))
    db.execute("DELETE FROM pictures WHERE seq = ?", (seq,))
    db.execute("DELETE FROM rows WHERE seq = ?", (seq,))
    db.execute(
        "UPDATE rows SET superseded = 0 "
        "WHERE id = (SELECT max(id) FROM rows WHERE image_sha256 = ? AND client = ? AND client != '')",
        vote,
    )


def rows_from(records: Sequence[Sequence[Any]]) -> list[FeedbackRow]:
    """The rows in records of `SELECT_ROWS`: all at once, since 100,000 calls of the JSON decoder take half a second."""
    probabilities = json.loads(f"[{','.join([record[_PROBABILITIES] for record in records])}]")
    return [
        FeedbackRow(
            id=row_id,
            request_id=request_id,
            created_at=datetime.fromisoformat(created_at),
            image=image,
            image_sha256=image_sha256,
            image_phash=image_phash,
            predicted_label=predicted_label,
            verdict=verdict,
            labels=_labels(labels),
            probabilities=tuple(of_labels),
            corrected_label=corrected_label,
            model_id=model_id,
            model_revision=model_revision,
            source=_SOURCES[source],
            client=client,
            app_version=app_version,
            schema_version=schema_version,
            extra=extra,
        )
        for (
            (
                row_id,
                request_id,
                created_at,
                image_sha256,
                image_phash,
                predicted_label,
                verdict,
                labels,
                _,
                corrected_label,
                model_id,
                model_revision,
                source,
                client,
                app_version,
                schema_version,
                extra,
                image,
            ),
            of_labels,
        ) in zip(records, probabilities, strict=True)
    ]


@lru_cache(maxsize=64)  # thousands of rows have the same ones
def _labels(stored: str) -> tuple[str, ...]:
    return tuple(json.loads(stored))


def stored_time(moment: datetime) -> str:
    """As `created_at` has it, so that the order of texts is that of time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def insert_decision(db: sqlite3.Connection, decision: Decision) -> None:
    """Add a decision, which is now the newest of its row. The caller brings connection and commit.

    Raises:
        UnknownRowError: the row was deleted, and nothing may be kept of it.
    """
    if db.execute("SELECT 1 FROM deletions WHERE id = ?", (decision.row_id,)).fetchone():
        raise UnknownRowError(f"Row {decision.row_id} has been deleted, so nothing was decided. List the rows again.")
    (last,) = db.execute("SELECT max(id) FROM decisions WHERE row_id = ?", (decision.row_id,)).fetchone()
    decision = later_than(last, decision)
    record = [getattr(decision, column) for column in _DECISION_COLUMNS]
    db.execute(_INSERT_DECISION, [stored_time(value) if isinstance(value, datetime) else value for value in record])


def decision_from(record: Sequence[str]) -> Decision:
    """The decision in a record of `SELECT_DECISIONS`."""
    kept = dict(zip(_DECISION_COLUMNS, record, strict=True))
    at, status = datetime.fromisoformat(kept.pop("at")), Status(kept.pop("status"))
    return Decision(at=at, status=status, **kept)


def _answers_of_a_day(db: sqlite3.Connection, row: FeedbackRow) -> int:
    """How many rows of its client came within 24 hours; 0 for the empty client.

    Rows dated later than this one don't count: a clock that was wrong must not use up the day.
    """
    count: int = db.execute(
        "SELECT count(*) FROM rows WHERE client = ? AND client != '' AND created_at BETWEEN ? AND ?",
        (row.client, stored_time(row.created_at - timedelta(days=1)), stored_time(row.created_at)),
    ).fetchone()[0]
    return count


def _supersede(db: sqlite3.Connection, row: FeedbackRow) -> None:
    """Let a new row count instead of earlier answers to its request, and of its client about the same picture.

    So nobody has two votes on one picture, however often it is sent.
    """
    db.execute(
        "UPDATE rows SET superseded = 1 WHERE NOT superseded "
        "AND (request_id = ? OR (image_sha256 = ? AND client = ? AND client != ''))",
        (row.request_id, row.image_sha256, row.client),
    )


def _find_key(db: sqlite3.Connection, idempotency_hash: bytes) -> tuple[str, str, str, str] | None:
    found: tuple[str, str, str, str] | None = db.execute(
        "SELECT id, request_id, image_sha256, corrected_label FROM rows WHERE idempotency_hash = ?",
        (idempotency_hash,),
    ).fetchone()
    return found


def _repeated(row: FeedbackRow, used: tuple[str, str, str, str]) -> Saved | KeyReusedError:
    """Answer a call whose idempotency key was used before; two different answers under one key are a mistake."""
    row_id, request_id, image_sha256, corrected_label = used
    same_picture = row.request_id == request_id or row.image_sha256 == image_sha256
    if same_picture and row.corrected_label == corrected_label:
        return Saved(id=row_id, receipt=None, created=False)
    return KeyReusedError(
        "This idempotency key was used for another correction, and yours was NOT saved. Send it with a new key."
    )


def _record(row: FeedbackRow) -> tuple[Any, ...]:
    """A row as SQLite keeps it, in the order of `_COLUMNS`."""
    kept = {
        "created_at": stored_time(row.created_at),
        "labels": json.dumps(row.labels),
        "probabilities": json.dumps(row.probabilities),
        "source": row.source.value,
    }
    return tuple(kept.get(column, getattr(row, column)) for column in _COLUMNS)


def _next_id(row_id: str) -> str:
    return str(uuid.UUID(int=uuid.UUID(row_id).int + 1))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()

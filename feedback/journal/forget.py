"""Forgetting rows for good: here at once, and on the Hub with the next sync."""

import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from feedback.journal.journal import Journal
from feedback.journal.tables import delete_row
from feedback.row import FeedbackRow

_FAILURE = "Nothing was forgotten: {}. Try again later."


def forget_rows(
    journal: Journal, rows: Iterable[FeedbackRow], wanted: Callable[[FeedbackRow], bool], *, repo_id: str | None
) -> int:
    """Delete rows from the journal, and note that they must leave the Hub; returns how many.

    All answers to the request of such a row go with it.

    Args:
        journal: This machine's rows.
        rows: All rows that there are, also those that only the Hub has; their pictures are not needed.
        wanted: Which of them to forget.
        repo_id: The data set that may hold them; None where none is set.

    Raises:
        FeedbackError: nothing was forgotten.
    """
    rows = list(rows)
    requests = {row.request_id for row in rows if wanted(row)}
    ids = [row.id for row in rows if row.request_id in requests]

    def forget_all(db: sqlite3.Connection) -> None:
        for row_id in ids:
            _forget(db, row_id, repo_id)

    journal.transact(forget_all, failure=_FAILURE)
    journal.scrub()
    return len(ids)


def _forget(db: sqlite3.Connection, row_id: str, repo_id: str | None) -> None:
    found = db.execute("SELECT seq FROM rows WHERE id = ?", (row_id,)).fetchone()
    if found:
        delete_row(db, found[0])
        return
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    db.execute(
        "INSERT INTO deletions (id, receipt_hash, deleted_at, repo_id) VALUES (?, x'', ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET repo_id = excluded.repo_id",
        (row_id, now, repo_id),
    )
    db.execute("DELETE FROM decisions WHERE row_id = ?", (row_id,))

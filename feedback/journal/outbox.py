"""What the journal still owes the Hub: batches of rows and decisions, deletions to follow, and its share of commits."""

import hashlib
import logging
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from feedback.decision import Decision
from feedback.journal.journal import Journal
from feedback.journal.tables import SELECT_DECISIONS, SELECT_ROWS, decision_from, rows_from
from feedback.row import FeedbackRow

log = logging.getLogger(__name__)

ROWS_FOLDER = "data"
DECISIONS_FOLDER = "decisions"

_MAX_ROWS = 2000
_MAX_BYTES = 64_000_000
"""Limits of a batch: what one upload takes in time, and what is repeated when it fails."""

_READ_ROWS = 50
_HOUR_S = 3600.0
_FAILURE = "The journal could not note what the Hub has: {}."


@dataclass(frozen=True, slots=True)
class Batch:
    """What one commit carries. Its paths follow from its rows, so that sending it again cannot add a row twice."""

    number: int
    rows_path: str | None
    decisions_path: str | None
    is_all: bool = False
    """Whether nothing else waited when it was made; False of one that an earlier round left behind."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What the Hub has of a batch."""

    rows: int
    decisions: int


class Outbox:
    """The part of a journal that looks towards the Hub. Every method may raise `FeedbackError`."""

    def __init__(self, journal: Journal, *, max_rows: int = _MAX_ROWS, max_bytes: int = _MAX_BYTES) -> None:
        self._journal = journal
        self._max_rows = max_rows
        self._max_bytes = max_bytes

    def next_batch(self, repo_id: str) -> Batch | None:
        """The oldest batch that the Hub is not known to have, else a new one; None if there is nothing to send."""
        if not self._journal.query(
            "SELECT 1 FROM batches WHERE committed_at IS NULL UNION ALL SELECT 1 FROM rows WHERE batch IS NULL "
            "UNION ALL SELECT 1 FROM decisions WHERE batch IS NULL LIMIT 1"
        ):
            return None  # without a write: this is asked often
        return self._journal.transact(
            lambda db: self._open_batch(db, repo_id) or self._cut(db, repo_id), failure=_FAILURE
        )

    def rows(self, batch: Batch) -> Iterator[FeedbackRow]:
        """The rows of a batch that are still wanted, a few at a time; damaged ones are noted and left out."""
        found = self._journal.query("SELECT seq FROM rows WHERE batch = ? AND NOT damaged ORDER BY seq", batch.number)
        for start in range(0, len(found), _READ_ROWS):
            few = found[start : start + _READ_ROWS]
            records = self._journal.query(
                f"{SELECT_ROWS} WHERE batch = ? AND seq BETWEEN ? AND ? ORDER BY seq", batch.number, *few[0], *few[-1]
            )
            yield from self._sound(rows_from(records))

    def decisions(self, batch: Batch) -> list[Decision]:
        """The decisions of a batch."""
        found = self._journal.query(f"{SELECT_DECISIONS} WHERE batch = ? ORDER BY seq", batch.number)
        return [decision_from(record) for record in found]

    def sent(self, batch: Batch) -> Sent:
        """Note that the Hub has a batch."""

        def note(db: sqlite3.Connection) -> Sent:
            now = _text(datetime.now(UTC))
            db.execute("UPDATE batches SET committed_at = ? WHERE number = ?", (now, batch.number))
            counts = db.execute(
                "SELECT (SELECT count(*) FROM rows WHERE batch = :number AND NOT damaged), "
                "(SELECT count(*) FROM decisions WHERE batch = :number)",
                {"number": batch.number},
            ).fetchone()
            return Sent(*counts)

        return self._journal.transact(note, failure=_FAILURE)

    def deletions(self) -> dict[str, tuple[str, ...]]:
        """Ids of rows that must still be removed from the Hub, by repository; only those in no open batch."""
        found = self._journal.query("SELECT repo_id, id FROM deletions WHERE repo_id IS NOT NULL ORDER BY id")
        repositories = dict.fromkeys(repo_id for repo_id, _ in found)
        return {repo_id: tuple(row_id for repo, row_id in found if repo == repo_id) for repo_id in repositories}

    def deleted(self, repo_id: str, ids: Collection[str]) -> None:
        """Note that a repository holds these rows no more, nor does its history."""
        self._journal.transact(
            lambda db: db.executemany(
                "UPDATE deletions SET repo_id = NULL WHERE repo_id = ? AND id = ?",
                [(repo_id, row_id) for row_id in ids],
            ),
            failure=_FAILURE,
        )

    def stored_paths(self, repo_id: str) -> dict[str, int]:
        """The shards of rows and decisions that a repository should hold, with their batch.

        Only those with rows or decisions that are still here: a shard whose rows were all deleted on purpose is not
        among them.
        """
        found = self._journal.query(
            "SELECT rows_path, number FROM batches WHERE committed_at IS NOT NULL AND repo_id = ? "
            "AND rows_path IS NOT NULL AND EXISTS (SELECT 1 FROM rows JOIN pictures USING (seq) "
            "WHERE batch = number AND NOT damaged) "
            "UNION ALL SELECT decisions_path, number FROM batches WHERE committed_at IS NOT NULL AND repo_id = ? "
            "AND decisions_path IS NOT NULL AND EXISTS (SELECT 1 FROM decisions WHERE batch = number)",
            repo_id,
            repo_id,
        )
        return dict(found)

    def lost(self, batches: Collection[int]) -> int:
        """Make batches pending again, since the Hub no longer has them; returns how many rows they have."""

        def reopen(db: sqlite3.Connection) -> int:
            numbers = [(number,) for number in batches]
            db.executemany("UPDATE batches SET committed_at = NULL WHERE number = ?", numbers)
            return sum(
                int(db.execute("SELECT count(*) FROM rows WHERE batch = ?", number).fetchone()[0]) for number in numbers
            )

        return self._journal.transact(reopen, failure=_FAILURE)

    def drop_pictures(self, *, older_than: timedelta) -> int:
        """Delete the pictures of rows that the Hub has had for so long; returns how many."""
        limit = _text(datetime.now(UTC) - older_than)
        which = (
            "SELECT seq FROM pictures JOIN rows USING (seq) JOIN batches ON batch = number "
            "WHERE committed_at <= ? AND NOT damaged"
        )
        if not self._journal.query(f"{which} LIMIT 1", limit):
            return 0
        dropped = self._journal.transact(
            lambda db: db.execute(f"DELETE FROM pictures WHERE seq IN ({which})", (limit,)).rowcount,  # noqa: S608
            failure=_FAILURE,
        )
        self._journal.scrub()
        return dropped

    def may_commit_in(self, *, per_hour: int, now: float) -> float:
        """Seconds until the next commit is within the limit; 0 if it is now. `now` is in seconds since 1970."""
        found = self._journal.query(
            "SELECT at FROM commits WHERE at > ? AND at <= ? ORDER BY at DESC LIMIT ?", now - _HOUR_S, now, per_hour
        )
        return 0.0 if len(found) < per_hour else float(found[-1][0]) + _HOUR_S - now

    def note_commit(self, now: float) -> int:
        """Count a commit, before it is tried: a process that is killed then must not forget it. Returns its number."""

        def note(db: sqlite3.Connection) -> int:
            db.execute("DELETE FROM commits WHERE at <= ? OR at > ?", (now - _HOUR_S, now))  # the clock was set back
            return int(db.execute("INSERT INTO commits VALUES (?)", (now,)).lastrowid or 0)

        return self._journal.transact(note, failure=_FAILURE)

    def forget_commit(self, number: int) -> None:
        """Do not count a commit, since the Hub refused it."""
        self._journal.transact(
            lambda db: db.execute("DELETE FROM commits WHERE rowid = ?", (number,)), failure=_FAILURE
        )

    def _open_batch(self, db: sqlite3.Connection, repo_id: str) -> Batch | None:
        found = db.execute(
            "SELECT number, rows_path, decisions_path FROM batches WHERE committed_at IS NULL ORDER BY number LIMIT 1"
        ).fetchone()
        if found is None:
            return None
        db.execute("UPDATE batches SET repo_id = ? WHERE number = ?", (repo_id, found[0]))  # the setting was changed
        return Batch(*found)

    def _cut(self, db: sqlite3.Connection, repo_id: str) -> Batch | None:
        rows = self._waiting_rows(db)
        decisions = db.execute(
            "SELECT seq, id FROM decisions WHERE batch IS NULL ORDER BY seq LIMIT ?", (self._max_rows,)
        ).fetchall()
        if not rows and not decisions:
            return None
        paths = _shard_path(ROWS_FOLDER, rows), _shard_path(DECISIONS_FOLDER, decisions)
        cursor = db.execute(
            "INSERT INTO batches (repo_id, rows_path, decisions_path) VALUES (?, ?, ?)", (repo_id, *paths)
        )
        number = int(cursor.lastrowid or 0)
        db.executemany("UPDATE rows SET batch = ? WHERE seq = ?", [(number, seq) for seq, _ in rows])
        db.executemany("UPDATE decisions SET batch = ? WHERE seq = ?", [(number, seq) for seq, _ in decisions])
        (more,) = db.execute(
            "SELECT EXISTS (SELECT 1 FROM rows WHERE batch IS NULL) "
            "OR EXISTS (SELECT 1 FROM decisions WHERE batch IS NULL)"
        ).fetchone()
        return Batch(number, *paths, is_all=not more)

    def _waiting_rows(self, db: sqlite3.Connection) -> list[tuple[int, str]]:
        """As many rows as fit into a batch, as they came; at least one, if there is one."""
        size = 0
        rows: list[tuple[int, str]] = []
        for seq, row_id, length in db.execute(
            "SELECT seq, id, length(jpeg) FROM rows JOIN pictures USING (seq) WHERE batch IS NULL ORDER BY seq LIMIT ?",
            (self._max_rows,),
        ):
            size += length
            if rows and size > self._max_bytes:
                break
            rows.append((seq, row_id))
        return rows

    def _sound(self, rows: Sequence[FeedbackRow]) -> list[FeedbackRow]:
        """The rows whose pictures are what was saved; the others are noted as failed."""
        damaged = [row for row in rows if hashlib.sha256(row.image).hexdigest() != row.image_sha256]
        if damaged:
            log.error("The pictures of %d rows are damaged; they stay here. Check the disk.", len(damaged))
            self._journal.transact(
                lambda db: db.executemany("UPDATE rows SET damaged = 1 WHERE id = ?", [(row.id,) for row in damaged]),
                failure=_FAILURE,
            )
        return [row for row in rows if row not in damaged]


def _shard_path(folder: str, records: Sequence[tuple[int, str]]) -> str | None:
    """A name that follows from what the shard is made of, and that tells which ids may be in it."""
    if not records:
        return None
    ids = sorted(row_id for _, row_id in records)
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
    return f"{folder}/{ids[0]}_{ids[-1]}_{digest:.12}.parquet"


def may_hold(path: str, row_id: str) -> bool:
    """Whether the name of a shard allows for a row; a shard with another kind of name may hold any."""
    first, _, rest = path.rpartition("/")[2].removesuffix(".parquet").partition("_")
    last = rest.partition("_")[0]
    return not last or first <= row_id <= last


def _text(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")

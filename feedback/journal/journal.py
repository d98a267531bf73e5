"""The journal: a SQLite file that keeps every acknowledged row, whatever happens to the process."""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from catdog.errors import CatdogError, DiskFullError, FeedbackError, SettingsError
from feedback.decision import Decision
from feedback.journal.database import (
    CHECKED_AT_START_BYTES,
    connect,
    damage,
    empty_database,
    empty_log,
    is_full,
    open_database,
    open_to_read,
    reason,
    reopen,
    transaction,
)
from feedback.journal.tables import (
    NOT_AUDIT,
    SELECT_DECISIONS,
    SELECT_ROWS,
    SELECT_ROWS_ALONE,
    Saved,
    decision_from,
    delete_request,
    insert,
    insert_decision,
    rows_from,
    stored_time,
)
from feedback.row import FeedbackRow, RowStatus, text
from feedback.stats import AnswerCount, Stats

log = logging.getLogger(__name__)

JOURNAL_FILE = "journal.sqlite3"
_BATCH, _BATCH_ALONE = 100, 2000
_CANNOT_SAVE = "Corrections can't be saved: {}."
_IS_DAMAGED = "the journal is damaged"
_ANOTHER_FAILED = "Your correction was NOT saved: another one failed. Send it again."
_WAITING = "batch IS NULL OR batch IN (SELECT number FROM batches WHERE committed_at IS NULL)"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Pending:
    """Rows that the Hub does not have: all of them, where no data set is set."""

    rows: int
    oldest_at: datetime | None
    decisions: int = 0
    """Decisions that it does not have."""
    damaged: int = 0
    """Rows that will never get there, as their picture is not what was saved: a sign of a failing disk."""

    def oldest_age_s(self, now: datetime) -> float | None:
        """For how long the oldest waits; 0 for one that a wrong clock dated later than now, None if there is none."""
        return None if self.oldest_at is None else max(0.0, (now - self.oldest_at).total_seconds())


@dataclass(slots=True)
class _Append:
    """A call of `append` that waits for its commit."""

    row: FeedbackRow
    idempotency_key: str | None
    per_day: int | None
    outcome: Saved | CatdogError | None = None
    woken: threading.Event = field(default_factory=threading.Event)
    """It is committed; or it is the first now, and must commit all that wait."""


class Journal:
    """Feedback rows in a folder. Any number of threads may use one journal, and any number of processes one folder."""

    def __init__(
        self,
        path: Path,
        writer: sqlite3.Connection | None,
        reader: Callable[[], sqlite3.Connection] | None = None,
        copied: AbstractContextManager[str] | None = None,
    ) -> None:
        """Make one of what `open` found.

        Args:
            path: The file.
            writer: A connection; None if nothing can be written yet.
            reader: Opens connections to read by, where that is not `connect`.
            copied: A copy to read, to be deleted at the end.
        """
        self._path = path
        self._reader = reader or partial(connect, path)
        self._copied = copied
        self._lock = threading.Lock()
        self._writer: sqlite3.Connection | None = writer
        self._inode = path.stat().st_ino if path.exists() else 0
        self.problem: str | None = None
        """Why nothing can be saved, since the last time that it was tried; None if it can."""
        self._waiting: deque[_Append] = deque()  # the first one commits
        self._queueing = threading.Lock()
        self._to_scrub = False
        self._closed = False
        self._checking: sqlite3.Connection | None = None
        self._damaged_inode = 0  # of a file that must not be written to any more
        self._watching = threading.Lock()
        self._watcher: sqlite3.Connection | None = None  # never writes: it is told what others did
        self._watched = self._inode

    @classmethod
    def open(cls, data_dir: Path) -> Self:
        """Open the journal of a data folder; both are created if need be.

        Raises:
            SettingsError: the folder cannot be written to or cannot hold a journal, or a newer version wrote it.
            FeedbackError: the journal is damaged, or the disk is full.
        """
        path = data_dir / JOURNAL_FILE
        return cls(path, open_database(path))

    @classmethod
    def open_or_wait(cls, data_dir: Path) -> Self:
        """Open the journal likewise, also on a full disk: then nothing is saved until there is room.

        Raises:
            SettingsError, FeedbackError: see `open`; not for a full disk.
        """
        try:
            return cls.open(data_dir)
        except DiskFullError as error:
            log.error("%s Until then no feedback is kept.", error)  # noqa: TRY400
        path = data_dir / JOURNAL_FILE
        if path.exists() and path.stat().st_size:
            journal = cls(path, None, *open_to_read(path))
        else:
            journal = cls(path, None, empty_database)
        journal.problem = _CANNOT_SAVE.format("the disk is full")
        return journal

    @classmethod
    def open_to_read(cls, data_dir: Path) -> Self:
        """Open the journal for a command that only looks: the folder may be read-only, and the disk full.

        Raises:
            SettingsError, FeedbackError: see `open`, where there is none yet; it cannot be read.
        """
        path = data_dir / JOURNAL_FILE
        if not path.exists():
            return cls.open(data_dir)
        try:
            return cls(path, None, *open_to_read(path))
        except SettingsError:  # an older version wrote it
            return cls.open(data_dir)

    def append(self, row: FeedbackRow, *, idempotency_key: str | None = None, per_day: int | None = None) -> Saved:
        """Keep a row; when this returns, the row survives a crash of the process and of the machine.

        A row counts once: with an idempotency key that was used before, or with the answer that its request has
        already, the earlier row is returned. Another answer to the same request is a new row, and counts instead;
        so is one of the same client about the same picture.
        Calls that come at the same time share one commit.

        Args:
            row: What to keep.
            idempotency_key: Chosen by the client for this answer, to repeat the call safely.
            per_day: How many of one client's rows are kept within 24 hours; any number if None.

        Raises:
            RateLimitedError: the client has had its share of the day, and this row was not there before.
            KeyReusedError: the idempotency key belongs to another answer.
            FeedbackError: the row was not saved.
        """
        call = _Append(row, idempotency_key, per_day)
        with self._queueing:
            self._waiting.append(call)
            is_first = len(self._waiting) == 1
        if not is_first:
            call.woken.wait()
        if call.outcome is None:
            self._commit_waiting()
        if isinstance(call.outcome, Saved):
            return call.outcome
        raise call.outcome or FeedbackError(_ANOTHER_FAILED)

    def has_answer(self, row: FeedbackRow) -> bool:
        """Whether a row's request has this very answer, or a later one.

        Raises:
            FeedbackError: the journal cannot be read.
        """
        at = stored_time(row.created_at)
        same_or_later = "created_at > ? OR (created_at = ? AND corrected_label = ?)"
        query = f"SELECT 1 FROM rows WHERE request_id = ? AND ({same_or_later}) LIMIT 1"  # noqa: S608 - no values
        return bool(self.query(query, row.request_id, at, at, row.corrected_label))

    def status(self, row_id: str, *, remote: bool = False) -> RowStatus | None:
        """Where a row is; None if there is no such row, or none any more.

        Args:
            row_id: Its id.
            remote: Whether a row counts as saved only once the Hub has it.
        """
        found = self.query(f"SELECT damaged, {_WAITING} FROM rows WHERE id = ?", text(row_id))  # noqa: S608
        if not found:
            return None
        damaged, waiting = found[0]
        if damaged:
            return RowStatus.FAILED
        return RowStatus.RECEIVED if remote and waiting else RowStatus.SAVED

    def delete(self, receipt: str) -> bool:
        """Delete an answer: its row, its picture, and the earlier and later answers to the same request.

        When this returns, nothing of it is left in the database file, and nothing in the log once no other process
        reads it. Repeating it does no harm.

        Returns:
            False if there never was a row with this receipt.

        Raises:
            FeedbackError: nothing was deleted.
        """
        with self._lock, self._writing("The correction was NOT deleted: {}. Try again later.") as db:
            with transaction(db):
                deleted = delete_request(db, receipt)
            self._to_scrub |= deleted
            self._scrub(db)
        return deleted

    def stats(self) -> Stats:
        """Count rows and answers. It reads every row, but no picture."""
        answers = self.query(
            "SELECT predicted_label, corrected_label, model_id, model_revision, count(*) "  # noqa: S608
            f"FROM rows WHERE NOT superseded AND {NOT_AUDIT} GROUP BY 1, 2, 3, 4 ORDER BY 3, 4, 1, 2"
        )
        ((rows, first_at, last_at),) = self.query("SELECT count(*), min(created_at), max(created_at) FROM rows")
        return Stats(
            rows=rows,
            first_at=_time(first_at),
            last_at=_time(last_at),
            answers=tuple(AnswerCount(*answer) for answer in answers),
        )

    def pending(self) -> Pending:
        """Count the rows that the Hub does not have, and say how old they are."""
        query = (
            f"SELECT count(*), min(created_at), (SELECT count(*) FROM rows WHERE damaged) FROM rows WHERE {_WAITING}"  # noqa: S608
        )
        ((rows, oldest_at, damaged),) = self.query(query)
        ((decisions,),) = self.query(f"SELECT count(*) FROM decisions WHERE {_WAITING}")  # noqa: S608
        return Pending(rows=rows, oldest_at=_time(oldest_at), decisions=decisions, damaged=damaged)

    def rows(self, *, newest_only: bool = False, pictures: bool = True) -> Iterator[FeedbackRow]:
        """Read all rows in the order of their ids, a few at a time.

        Args:
            newest_only: Of each request the newest row alone, the one that counts.
            pictures: If not, `image` is empty, which takes far less time.
        """
        select, batch_size = (SELECT_ROWS, _BATCH) if pictures else (SELECT_ROWS_ALONE, _BATCH_ALONE)
        where = "id > ? AND NOT superseded" if newest_only else "id > ?"
        after = ""
        while found := self.query(f"{select} WHERE {where} ORDER BY id LIMIT {batch_size}", after):
            batch = rows_from(found)
            yield from batch
            after = batch[-1].id

    def picture(self, row_id: str) -> bytes | None:
        """The picture of a row as a JPEG; None if there is none, or none any more."""
        found = self.query("SELECT jpeg FROM pictures JOIN rows USING (seq) WHERE id = ?", text(row_id))
        return found[0][0] if found else None

    def decide(self, decisions: Sequence[Decision]) -> None:
        """Keep decisions, all or none; when this returns, they survive a crash.

        Raises:
            UnknownRowError: a row was deleted; no decision was kept.
            FeedbackError: none was kept.
        """

        def insert_all(db: sqlite3.Connection) -> None:
            for decision in decisions:
                insert_decision(db, decision)

        self.transact(insert_all, failure="The decision was NOT saved: {}. Try again later.")

    def decisions(self) -> list[Decision]:
        """All decisions in the order in which they came here; see `feedback.decision.newest` for those that count."""
        return [decision_from(record) for record in self.query(f"{SELECT_DECISIONS} ORDER BY seq")]

    def version(self) -> tuple[int, int]:
        """What changes with every commit of any process, and with another file in the journal's place.

        Raises:
            FeedbackError: the journal cannot be read.
        """
        try:
            inode = self._path.stat().st_ino if self._path.exists() else 0
            with self._watching:
                if self._closed:
                    raise FeedbackError("The journal is closed.")
                if self._watcher is None or self._watched != inode:
                    self._watcher, self._watched = self._reader(), inode
                return inode, self._watcher.execute("PRAGMA data_version").fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            raise FeedbackError(f"Feedback cannot be read: {reason(error)}. Try again later.") from None

    def deleted_ids(self) -> set[str]:
        """Ids of rows that were deleted here, and must not come back from the Hub."""
        return {row_id for (row_id,) in self.query("SELECT id FROM deletions")}

    def transact(self, work: Callable[[sqlite3.Connection], Result], *, failure: str) -> Result:
        """Do something in one transaction; when this returns, it survives a crash.

        Args:
            work: Gets the connection.
            failure: What to tell if it fails, with `{}` for the reason.

        Raises:
            FeedbackError: nothing was changed.
        """
        with self._lock, self._writing(failure) as db:
            with transaction(db):
                result = work(db)
            self._check_in_place()
        return result

    def query(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one query on a connection of its own: readers and the writer do not wait for each other.

        Raises:
            FeedbackError: the journal cannot be read.
        """
        try:
            with closing(self._reader()) as db:
                return db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            log.error("%s: %s", self._path, error)  # noqa: TRY400
            raise FeedbackError(f"Feedback cannot be read: {reason(error)}. Try again later.") from None

    def scrub(self) -> None:
        """Empty the log of what was deleted."""
        with self._lock, self._writing("The journal's log was not emptied: {}.") as db:
            self._to_scrub = True
            self._scrub(db)

    def check_rest(self) -> None:
        """Check a file that was too large to be checked when it was opened; that may take minutes.

        If it is damaged, nothing is saved from then on, as it might be lost, and `problem` says so. It can still be
        read as far as that goes.
        """
        try:
            if not self._path.exists() or self._path.stat().st_size <= CHECKED_AT_START_BYTES:
                return
            inode = self._path.stat().st_ino
            with closing(self._reader()) as self._checking:
                found = "" if self._closed else damage(self._checking)
        except (sqlite3.Error, OSError) as error:
            if self._closed or getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_CORRUPT:
                return
            found = str(error)
        finally:
            self._checking = None
        if found:
            self._stop_writing(inode, found)

    def _stop_writing(self, inode: int, found: str) -> None:
        with self._lock:
            self._damaged_inode = inode
            self._drop_writer()
            self.problem = _CANNOT_SAVE.format(_IS_DAMAGED)
        log.error(
            "%s is damaged (%s). No more feedback is kept until it is moved aside, with its -wal and -shm files, and "
            "the app is started again; `sqlite3 OLD .recover` saves what can be read.",
            self._path,
            found,
        )

    def close(self) -> None:
        """Close the journal; rows are on the disk already."""
        if checking := self._checking:
            checking.interrupt()
        with self._lock:
            self._closed = True
            self._drop_writer()
        with self._watching:
            if self._watcher is not None:
                self._watcher.close()
                self._watcher = None
        if self._copied is not None:
            self._copied.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _commit_waiting(self) -> None:
        """Commit every call that waits, in one transaction, and let the next one commit what has come meanwhile.

        Nobody waits for a lock to learn that his row is committed: the others would go on committing in the meantime.
        """
        with self._lock:
            with self._queueing:
                calls = tuple(self._waiting)
            outcomes: Sequence[Saved | CatdogError] = [FeedbackError(_ANOTHER_FAILED) for _ in calls]
            try:
                outcomes = self._committed(calls)
            except FeedbackError as error:
                outcomes = [FeedbackError(str(error)) for _ in calls]
            finally:
                self._tell(calls, outcomes)

    def _committed(self, calls: Sequence[_Append]) -> Sequence[Saved | CatdogError]:
        """Commit rows; the caller holds the lock."""
        with self._writing("Your correction was NOT saved: {}. Try again later.") as db:
            with transaction(db):
                outcomes = [
                    insert(db, call.row, idempotency_key=call.idempotency_key, per_day=call.per_day) for call in calls
                ]
            self._check_in_place()
            self._scrub(db)
        return outcomes

    def _tell(self, calls: Sequence[_Append], outcomes: Sequence[Saved | CatdogError]) -> None:
        """Take calls out of the queue, and wake them and who is the first then."""
        for call, outcome in zip(calls, outcomes, strict=True):
            call.outcome = outcome
        with self._queueing:
            for _ in calls:  # calls that came meanwhile stay
                self._waiting.popleft()
            following = tuple(self._waiting)[:1]
        for call in (*following, *calls):
            call.woken.set()

    @contextmanager
    def _writing(self, message: str) -> Iterator[sqlite3.Connection]:
        """Lend the connection that writes; the caller holds the lock.

        After a failure it is thrown away: what it believes to have written may never reach the disk.
        """
        if self._damaged_inode and self._path.exists() and self._path.stat().st_ino == self._damaged_inode:
            raise FeedbackError(message.format(_IS_DAMAGED))
        try:
            yield self._connection()
            self.problem = None
        except (sqlite3.Error, OSError) as error:
            log.error("%s: %s", self._path, error)  # noqa: TRY400 - a full disk needs no traceback
            self._drop_writer()
            why = "the disk is full" if is_full(self._path.parent) else reason(error)
            self.problem = _CANNOT_SAVE.format(why)
            raise FeedbackError(message.format(why)) from None

    def _connection(self) -> sqlite3.Connection:
        if self._closed:
            raise FeedbackError("The journal is closed: the server is stopping. Try again in a minute.")
        if self._writer is None:
            self._writer = reopen(self._path)
            self._inode = self._path.stat().st_ino
            self._reader = partial(connect, self._path)
        return self._writer

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _check_in_place(self) -> None:
        """Notice a journal that was deleted or replaced: SQLite would go on writing to the file without a name."""
        if self._path.stat().st_ino != self._inode:
            raise FileNotFoundError("another file is in the journal's place")

    def _scrub(self, db: sqlite3.Connection) -> None:
        """Empty the log of what was deleted, if another process was in the way before."""
        if self._to_scrub:
            self._to_scrub = not empty_log(db)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

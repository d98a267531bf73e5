"""From the journal to the Hub: one round after another, on a thread of its own.

A row stays in the journal until the Hub has it. A batch is noted in the journal before it is sent, and its files are
named after its rows: whatever happens to an upload, repeating it makes the same files and no row twice.
"""

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from catdog.cli import counted
from catdog.errors import CatdogError, FeedbackError, HubError
from catdog.files import try_lock
from feedback.hub.dataset import FeedbackDataset
from feedback.journal.outbox import Batch, Outbox, Sent

log = logging.getLogger(__name__)

LOCK_FILE = "sync.lock"

_FLUSH_RESERVE = 1
"""Commits that are kept for the end of the process, when what waits may be on a disk that is lost with it."""

_ACK_DELAY_S = 5.0
"""How long to gather rows whose senders wait for the Hub; with the time of an upload it is well below 15 s."""

_LOCKED_RETRY_S = 5.0
_FIRST_BACKOFF_S, _MAX_BACKOFF_S = 5.0, 600.0
_SHARDS_MESSAGE, _REMOVE_MESSAGE = "Add feedback", "Remove feedback that was taken back"


@dataclass(frozen=True, slots=True)
class SyncState:
    """How syncing goes, for `/health` and `/metrics`."""

    repo_id: str
    last_success: datetime | None
    """When this process last found everything in order, or the journal's last batch reached the Hub."""
    failures: int
    """Rounds that failed since the start."""
    problem: str | None
    """Why the last one failed; None if it did not."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did."""

    commits: int = 0
    rows: int = 0
    """That the Hub has now."""
    decisions: int = 0
    removed: int = 0
    """Rows that the Hub has no more."""
    wait_s: float = 0.0
    """Until the limit of commits allows to send the rest; 0 if there is no rest."""
    locked: bool = False
    """Whether another process is syncing, and nothing was done."""


class Syncer:
    """Sends what a journal holds to the Hub, from a thread between `start()` and `stop()`, or by `sync()`."""

    def __init__(  # noqa: PLR0913 - the parts come in from outside
        self,
        outbox: Outbox,
        dataset: FeedbackDataset,
        *,
        data_dir: Path,
        every_s: float,
        retain: timedelta,
        commits_per_hour: int,
        first_backoff_s: float = _FIRST_BACKOFF_S,
        ack_delay_s: float = _ACK_DELAY_S,
    ) -> None:
        """Put the parts together; nothing is asked of the Hub yet.

        Args:
            outbox: What waits.
            dataset: Where it goes.
            data_dir: The journal's folder, for the lock among processes.
            every_s: Seconds between two rounds.
            retain: How long the journal keeps pictures that the Hub has.
            commits_per_hour: The limit, one of which is kept for the end of the process.
            first_backoff_s: How long to wait after the first failure; each further one doubles it.
            ack_delay_s: How long to gather rows after `hurry`.
        """
        self._outbox = outbox
        self._dataset = dataset
        self._data_dir = data_dir
        self._every_s = every_s
        self._retain = retain
        self._commits_per_hour = commits_per_hour
        self._first_backoff_s = first_backoff_s
        self._ack_delay_s = ack_delay_s
        self._changed = threading.Condition()
        self._due = 0.0
        self._not_before = 0.0
        self._wanted_by = math.inf
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._failures_in_a_row = 0
        self._problem: str | None = None
        self._last_success: datetime | None = None
        self._prepared = False
        self._lost_rows = 0

    def state(self) -> SyncState:
        """How it goes."""
        return SyncState(
            self._dataset.repo_id, self._last_success, self._failures, self._problem or self._lost_problem()
        )

    def _lost_problem(self) -> str | None:
        """What to tell a maintainer until the next start, after rows disappeared from the Hub."""
        if not self._lost_rows:
            return None
        return f"{counted(self._lost_rows, 'row')} had disappeared from the feedback data set and were sent again."

    def start(self) -> None:
        """Begin, with a first round at once."""
        self._thread = threading.Thread(target=self._run, name="feedback-sync", daemon=True)
        self._thread.start()

    def stop(self, *, grace_s: float) -> None:
        """Send what waits once more and end; what cannot be sent in time stays in the journal."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(grace_s)

    def hurry(self) -> None:
        """Somebody waits until the Hub has a row: send it within seconds, as far as the limits allow."""
        with self._changed:
            self._wanted_by = min(self._wanted_by, time.monotonic() + self._ack_delay_s)
            self._due = max(self._not_before, min(self._due, self._wanted_by))
            self._changed.notify()

    def sync(self, *, reserve: int = 0) -> Round:
        """Send everything that waits, follow deletions, and drop pictures that need not be kept.

        Args:
            reserve: How many of an hour's commits to leave.

        Raises:
            HubError: the Hub cannot be reached, or refuses.
            FeedbackError: the journal cannot be read or written.
        """
        with _sync_lock(self._data_dir) as held:
            if not held:
                return Round(locked=True)
            if not self._prepared:
                self._dataset.prepare()
                self._prepared = True
            self._reopen_lost()
            return self._sync(self._commits_per_hour - reserve)

    def _sync(self, per_hour: int) -> Round:
        """Send what is left of earlier rounds, and what waits now; what comes meanwhile belongs to the next round.

        Else steady traffic would spend an hour's commits on a few rows each, in seconds.
        """
        done = Round()
        while batch := self._outbox.next_batch(self._dataset.repo_id):
            if wait_s := self._outbox.may_commit_in(per_hour=per_hour, now=time.time()):
                return replace(done, wait_s=wait_s)
            sent = self._send(batch)
            done = replace(
                done, commits=done.commits + 1, rows=done.rows + sent.rows, decisions=done.decisions + sent.decisions
            )
            if batch.is_all:
                break
        for repo_id, ids in self._outbox.deletions().items():
            if wait_s := self._outbox.may_commit_in(per_hour=per_hour, now=time.time()):
                return replace(done, wait_s=wait_s)
            self._remove(repo_id, ids)
            done = replace(done, commits=done.commits + 1, removed=done.removed + len(ids))
        self._outbox.drop_pictures(older_than=self._retain)
        return done

    def _reopen_lost(self) -> None:
        """Make rows pending again whose shards are no longer at the head of the data set: deleted, squashed, damaged.

        A shard that the app itself deleted held only rows that were taken back, which the journal has no more.
        """
        expected = self._outbox.stored_paths(self._dataset.repo_id)
        if not expected:
            return
        head = self._dataset.head()
        held = head.paths if head else frozenset()
        lost = {number for path, number in expected.items() if path not in held}
        if lost:
            rows = self._outbox.lost(lost)
            self._lost_rows += rows
            log.error(
                "%s of %s that were sent are no longer on the Hub: the data set or its files were deleted. "
                "They are sent again.",
                counted(rows, "row"),
                self._dataset.repo_id,
            )

    def _remove(self, repo_id: str, ids: tuple[str, ...]) -> None:
        """Follow deletions, in the data set that has the rows."""
        dataset = self._dataset if repo_id == self._dataset.repo_id else self._dataset.other(repo_id)
        self._counted(lambda: dataset.remove(ids, message=_REMOVE_MESSAGE))
        self._outbox.deleted(repo_id, ids)

    def _send(self, batch: Batch) -> Sent:
        """Upload one batch. What is sent is read before, so that nobody who writes to the journal waits for the Hub."""
        from feedback.hub.parquet import decisions_shard, rows_shard  # noqa: PLC0415 - pyarrow

        with ExitStack() as stack:
            shards = {
                batch.rows_path: rows_shard(self._outbox.rows(batch)),
                batch.decisions_path: decisions_shard(self._outbox.decisions(batch)),
            }
            files = {path: shard for path, shard in shards.items() if path is not None}
            for shard in files.values():
                stack.callback(shard.close if shard else lambda: None)
            self._counted(lambda: self._dataset.add(files, message=_SHARDS_MESSAGE))
        return self._outbox.sent(batch)

    def _counted(self, commit: Callable[[], None]) -> None:
        """Make a commit that counts, unless the Hub certainly refused it."""
        number = self._outbox.note_commit(time.time())
        try:
            commit()
        except HubError as error:
            if error.is_refusal:
                self._outbox.forget_commit(number)
            raise

    def _run(self) -> None:
        while self._wait():
            self._attempt(reserve=_FLUSH_RESERVE)
        self._attempt(reserve=0)

    def _wait(self) -> bool:
        """Wait until the next round is due; False if it is time to end."""
        with self._changed:
            while not self._stopping and (wait_s := self._due - time.monotonic()) > 0:
                self._changed.wait(wait_s)
            self._wanted_by = math.inf  # whoever hurries from here on may have come too late for this round
            return not self._stopping

    def _attempt(self, *, reserve: int) -> None:
        """Make one round, and decide when the next one is due. Whatever goes wrong, there is a next one."""
        try:
            done = self.sync(reserve=reserve)
        except CatdogError as error:
            if str(error) != self._problem:
                log.warning("Feedback waits here and will be sent later. %s", error)
            self._failed(str(error), error.retry_after_s if isinstance(error, HubError) else None)
            return
        except Exception as error:  # rows would never reach the Hub again if the thread ended
            log.exception("Feedback waits here and will be sent later.")
            self._failed(f"Sending failed unexpectedly ({type(error).__name__}). The log has the details.")
            return
        if done.locked:
            self._next_in(_LOCKED_RETRY_S)
            return
        self._problem, self._failures_in_a_row, self._last_success = None, 0, datetime.now(UTC)
        self._next_in(done.wait_s or self._every_s, not_before_s=done.wait_s)

    def _failed(self, problem: str, asked_s: float | None = None) -> None:
        self._problem = problem
        self._failures += 1
        self._failures_in_a_row += 1
        wait_s = self._backoff_s() if asked_s is None else asked_s
        self._next_in(wait_s, not_before_s=wait_s)

    def _backoff_s(self) -> float:
        """Doubled with each failure in a row, half of it random: many that failed together come back one by one."""
        full_s = min(_MAX_BACKOFF_S, self._first_backoff_s * 2.0 ** min(self._failures_in_a_row - 1, 30))
        return full_s * random.uniform(0.5, 1.0)  # noqa: S311

    def _next_in(self, wait_s: float, *, not_before_s: float = 0.0) -> None:
        with self._changed:
            now = time.monotonic()
            self._not_before = now + not_before_s
            self._due = max(self._not_before, min(now + wait_s, self._wanted_by))


@contextmanager
def _sync_lock(data_dir: Path) -> Iterator[bool]:
    """Hold the lock that lets one process at a time sync a data folder; yields whether it is held."""
    path = data_dir / LOCK_FILE
    with ExitStack() as stack:
        try:
            held = stack.enter_context(try_lock(path))
        except OSError as error:
            raise FeedbackError(f"{path} cannot be created: {error.strerror}. Make the folder writable.") from None
        yield held

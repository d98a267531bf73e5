"""Review: what there is to decide, in which order, and what was decided."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from catdog.allocator import collector_spared
from catdog.errors import CatdogError, UnknownRowError
from catdog.model.metadata import UNSURE
from feedback.decision import Decision, ReviewedRow, Status, accept, join, later_than, newest, reject, undo
from feedback.journal.journal import Journal
from feedback.review.order import Entry, build_queue
from feedback.row import FeedbackRow

log = logging.getLogger(__name__)

_LONG_S = 0.5
_FEW = 2000
_PATIENCE_S = 5.0
"""Few rows take long to put in order only where something else is slow: a busy machine, or the Hub."""


class Action(StrEnum):
    """What can be done about a row."""

    ACCEPT = "accept"
    REJECT = "reject"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do about one row."""

    row_id: str
    action: Action
    label: str | None = None
    """With `accept`: what it is, where that is not what the person said."""


@dataclass(frozen=True, slots=True)
class _Ready:
    entries: list[Entry]
    version: Hashable
    took_s: float


class Review:
    """The rows of a journal, or of wherever `load` reads them, for those who decide. Safe to use from many threads."""

    def __init__(
        self,
        journal: Journal,
        *,
        load: Callable[[], Iterable[ReviewedRow]] | None = None,
        picture: Callable[[str], bytes | None] | None = None,
        version: Callable[[], Hashable] | None = None,
        long_s: float = _LONG_S,
    ) -> None:
        """Make a review.

        Args:
            journal: Keeps the decisions.
            load: Reads of each request the newest row and what was decided about it, where that is more than the
                journal has; pictures may be left empty.
            picture: Reads the picture of a row, likewise.
            version: Gives something else once `load` may; without it, and with `load`, every queue is made anew.
            long_s: A queue that takes longer to make is made while the last one is shown.
        """
        self._journal = journal
        self._load = load or self._load_journal
        self._picture = picture or journal.picture
        self._version = version or (object if load else journal.version)
        self._long_s = long_s
        self._seen: dict[str, ReviewedRow] = {}
        self._ready: _Ready | None = None
        self._building = threading.Lock()
        self._builder: threading.Thread | None = None

    def queue(self, *, at_once: bool = False) -> list[Entry]:
        """All rows, the most useful to look at first.

        Args:
            at_once: Whether the last queue will do where making one takes long; the next one is made meanwhile, and
                waited for a few seconds if there are few rows. What was decided here is in it.

        Raises:
            FeedbackError: they cannot be read.
        """
        ready = self._ready
        if ready and at_once and ready.took_s > self._long_s:
            if ready.version != self._version():
                self.prepare()
                if len(ready.entries) <= _FEW and self._builder:
                    self._builder.join(_PATIENCE_S)
            return (self._ready or ready).entries
        return self._build()

    def prepare(self, *, first: bool = False) -> None:
        """Begin to make the queue, unless that goes on already; nobody waits for it.

        Args:
            first: Only if there is none yet.
        """
        if not self._building.locked() and not (first and self._ready):
            self._builder = threading.Thread(target=self._build_or_log, name="review", daemon=True)
            self._builder.start()

    def _build(self) -> list[Entry]:
        with self._building:
            version, began = self._version(), time.monotonic()
            if self._ready is None or self._ready.version != version:
                with collector_spared():
                    entries = build_queue(self._load())
                    self._seen = {entry.row.id: entry.reviewed for entry in entries}
                self._ready = _Ready(entries, version, time.monotonic() - began)
            return self._ready.entries

    def _build_or_log(self) -> None:
        try:
            self._build()
        except CatdogError as error:
            log.warning("The rows to review cannot be read: %s", error)

    def picture(self, row_id: str) -> bytes:
        """The picture of a row as a JPEG.

        Raises:
            UnknownRowError: there is none, or none any more.
            FeedbackError: it cannot be read.
        """
        found = self._picture(row_id)
        if found is None:
            raise UnknownRowError("This picture is not there: its row was deleted, or never existed.")
        return found

    def decide(self, choices: Sequence[Choice], *, by: str, reason: str = "") -> list[Decision]:
        """Record what was decided, all or nothing; later choices about the same row win.

        Raises:
            UnknownRowError: there is no such row.
            UnknownLabelError: the row's model has no such label.
            FeedbackError: nothing was recorded.
        """
        decisions = [_decision(self._find(choice.row_id), choice, by, reason) for choice in choices]
        self._journal.decide(decisions)
        self._note({decision.row_id: decision for decision in decisions})
        return decisions

    def _note(self, decided: Mapping[str, Decision]) -> None:
        """Put decisions into the queue that is ready: it is shown until the next one is."""
        for row_id, decision in decided.items():
            if row_id in self._seen:
                self._seen[row_id] = replace(self._seen[row_id], decision=decision)
        if self._ready is not None:
            entries = [
                replace(entry, reviewed=self._seen[entry.row.id]) if entry.row.id in decided else entry
                for entry in self._ready.entries
            ]
            self._ready = replace(self._ready, entries=entries)

    def _find(self, row_id: str) -> ReviewedRow:
        """A row that was listed, or came since."""
        row = self._seen.get(row_id)
        if row is None:
            self.queue()
            row = self._seen.get(row_id)
        if row is None:
            raise UnknownRowError(f"There is no feedback row {row_id!r}, so nothing was decided. List the rows again.")
        return row

    def _load_journal(self) -> Iterable[ReviewedRow]:
        return join(self._journal.rows(newest_only=True, pictures=False), newest(self._journal.decisions()))


def count(entries: Iterable[Entry]) -> dict[Status, int]:
    """How many rows have each status."""
    counts = Counter(entry.reviewed.status for entry in entries)
    return {status: counts[status] for status in Status}


def choose_agreed(entries: Iterable[Entry], *, clients: int, objects: Callable[[Entry], bool]) -> list[Choice]:
    """The pending rows that may be accepted without a look: enough clients agree, nobody disagrees, nor does a check.

    Args:
        entries: The queue.
        clients: How many must say the same of a picture. Clients are told apart by a hint alone.
        objects: The second check.
    """
    return [
        Choice(entry.row.id, Action.ACCEPT)
        for entry in entries
        if entry.reviewed.status is Status.PENDING
        and entry.row.corrected_label != UNSURE
        and entry.voters == entry.agreeing >= clients
        and not objects(entry)
    ]


def _decision(reviewed: ReviewedRow, choice: Choice, by: str, reason: str) -> Decision:
    """The decision, later than the one that it replaces, wherever that was made."""
    last_id = reviewed.decision.id if reviewed.decision else None
    return later_than(last_id, _choose(reviewed.row, choice, by, reason))


def _choose(row: FeedbackRow, choice: Choice, by: str, reason: str) -> Decision:
    match choice.action:
        case Action.ACCEPT:
            return accept(row, by=by, label=choice.label, reason=reason)
        case Action.REJECT:
            return reject(row, by=by, reason=reason)
        case Action.UNDO:
            return undo(row, by=by, reason=reason)

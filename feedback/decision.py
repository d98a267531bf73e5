"""What the maintainer decides about a feedback row. Every decision is a row of its own; the newest one counts."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from catdog.errors import UnknownLabelError
from catdog.model.metadata import RESERVED_LABELS
from feedback.row import FeedbackRow, new_id, text


class Status(StrEnum):
    """What counts for training; a row without a decision is pending."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision about one row. Immutable: what undoes it is another, with the status pending."""

    id: str
    """UUIDv7: of the decisions about a row, the one with the largest id counts."""
    row_id: str
    status: Status
    corrected_label: str | None
    """The label to learn, which may differ from what the person said; None unless accepted."""
    reason: str
    """May be empty."""
    by: str
    at: datetime
    """In UTC."""


@dataclass(frozen=True, slots=True)
class ReviewedRow:
    """A feedback row, and what was decided about it last."""

    row: FeedbackRow
    decision: Decision | None = None

    @property
    def status(self) -> Status:
        """Pending where nothing was decided, or where it was undone."""
        return self.decision.status if self.decision else Status.PENDING

    @property
    def label(self) -> str:
        """The label that counts: the maintainer's, else what the person said."""
        return (self.decision and self.decision.corrected_label) or self.row.corrected_label


def accept(row: FeedbackRow, *, by: str, label: str | None = None, reason: str = "") -> Decision:
    """Decide that a row is to be learned from.

    Args:
        row: The row.
        by: Who decides.
        label: What it is, where that is not what the person said.
        reason: Why.

    Raises:
        UnknownLabelError: the row's model has no such label, and it is neither `neither` nor `unsure`.
    """
    label = label or row.corrected_label
    allowed = (*row.labels, *sorted(RESERVED_LABELS))
    if label not in allowed:
        raise UnknownLabelError(f"{label!r} is not a label of row {row.id}. Choose one of {', '.join(allowed)}.")
    return _decision(row, Status.ACCEPTED, label, by, reason)


def reject(row: FeedbackRow, *, by: str, reason: str = "") -> Decision:
    """Decide that a row is not to be learned from."""
    return _decision(row, Status.REJECTED, None, by, reason)


def undo(row: FeedbackRow, *, by: str, reason: str = "") -> Decision:
    """Make a row pending again."""
    return _decision(row, Status.PENDING, None, by, reason)


def later_than(last_id: str | None, decision: Decision) -> Decision:
    """The decision with an id larger than that of the last one: clocks are set back, and differ between machines."""
    if last_id is None or last_id < decision.id:
        return decision
    return replace(decision, id=str(uuid.UUID(int=uuid.UUID(last_id).int + 1)))


def newest(decisions: Iterable[Decision]) -> dict[str, Decision]:
    """The decision that counts, by the id of its row."""
    found: dict[str, Decision] = {}
    for decision in decisions:
        known = found.get(decision.row_id)
        if known is None or known.id < decision.id:
            found[decision.row_id] = decision
    return found


def join(rows: Iterable[FeedbackRow], decisions: Mapping[str, Decision]) -> Iterator[ReviewedRow]:
    """Put rows and the decisions that count together."""
    return (ReviewedRow(row, decisions.get(row.id)) for row in rows)


def _decision(row: FeedbackRow, status: Status, label: str | None, by: str, reason: str) -> Decision:
    return Decision(
        id=new_id(),
        row_id=row.id,
        status=status,
        corrected_label=label,
        reason=text(reason),
        by=text(by),
        at=datetime.now(UTC),
    )

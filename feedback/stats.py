"""What the journal holds, counted."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AnswerCount:
    """How many requests have one prediction, one answer and one model."""

    predicted_label: str
    corrected_label: str
    model_id: str
    model_revision: str
    requests: int

    @property
    def is_confirmation(self) -> bool:
        """Whether the person agrees with the model."""
        return self.corrected_label == self.predicted_label


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of the journal. A request counts once, with its newest answer."""

    rows: int
    """Every row kept, changed answers too."""
    first_at: datetime | None
    last_at: datetime | None
    answers: tuple[AnswerCount, ...] = ()

    @property
    def requests(self) -> int:
        """Predictions that were answered."""
        return sum(answer.requests for answer in self.answers)

    @property
    def confirmations(self) -> int:
        """Predictions that the person agrees with."""
        return sum(answer.requests for answer in self.answers if answer.is_confirmation)

    @property
    def corrections(self) -> int:
        """Predictions that the person disagrees with."""
        return self.requests - self.confirmations


EMPTY = Stats(rows=0, first_at=None, last_at=None)
"""The counts of a journal that does not exist yet."""

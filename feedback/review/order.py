"""The order of review: the rows that teach most, or are most likely wrong, come first."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from catdog.images.phash import group_near_duplicates, pack
from catdog.model.metadata import NEITHER
from feedback.decision import ReviewedRow, Status
from feedback.row import NEITHER_SCORE, FeedbackRow
from feedback.votes import votes

SURE_BUT_CORRECTED = 4.0
DISAGREEMENT = 3.0
LOW_CONFIDENCE = 1.5
UNLIKE_TRAINING = 1.0
"""How much each signal weighs. A correction of a sure model comes first; a plain confirmation of one comes last."""


@dataclass(frozen=True, slots=True)
class Signals:
    """Why a row deserves a look; each in [0, 1]."""

    sure_but_corrected: float
    """The model's confidence, if the person says something else; else 0."""
    disagreement: float
    """How evenly people are divided about the picture; 0 if they agree, 1 if half of them say something else."""
    low_confidence: float
    """1 where the most probable label has the least probability that it can have, 0 where it has all."""
    unlike_training: float
    """The share of rows that look more like the labels, by the model's own score; 0 where it has none."""

    @property
    def score(self) -> float:
        """How useful a look is: the weighted sum, from 0 to 9.5."""
        return (
            SURE_BUT_CORRECTED * self.sure_but_corrected
            + DISAGREEMENT * self.disagreement
            + LOW_CONFIDENCE * self.low_confidence
            + UNLIKE_TRAINING * self.unlike_training
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A row in the queue, without its picture."""

    reviewed: ReviewedRow
    group: str
    """The smallest id among the rows with near-identical pictures."""
    agreeing: int
    """Clients that say of these pictures what this row says, its own included; each has one vote."""
    voters: int
    """Clients that say anything about them. Both leave rejected rows out."""
    signals: Signals

    @property
    def row(self) -> FeedbackRow:
        """The row; its picture is empty."""
        return self.reviewed.row


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries to show; None is any."""

    status: Status | None = Status.PENDING
    label: str | None = None
    """What counts now: the maintainer's label, else the person's."""
    predicted: str | None = None
    source: str | None = None
    since: datetime | None = None
    """Rows made then or later."""
    audit: bool = False
    """Only the audit sample."""

    def matches(self, entry: Entry) -> bool:
        """Whether an entry is to be shown."""
        row = entry.row
        return (
            self.status in (None, entry.reviewed.status)
            and self.label in (None, entry.reviewed.label)
            and self.predicted in (None, row.predicted_label)
            and self.source in (None, row.source)
            and (self.since is None or row.created_at >= self.since)
            and (row.is_audit or not self.audit)
        )


def build_queue(reviewed: Iterable[ReviewedRow]) -> list[Entry]:
    """Order rows for review, the most useful first; rows with near-identical pictures stay together.

    Args:
        reviewed: Of each request the newest row, with what was decided about it. Pictures are not looked at.
    """
    rows = [replace(each, row=replace(each.row, image=b"")) if each.row.image else each for each in reviewed]
    rows.sort(key=lambda each: each.row.id)
    firsts = _firsts(tuple(each.row.image_phash for each in rows))
    groups = {each.row.id: rows[first].row.id for each, first in zip(rows, firsts.tolist(), strict=True)}
    said = _votes(rows, groups)
    agreeing = Counter(said)
    voters = Counter(group for group, _ in said)
    entries = [
        _entry(each, group, agreeing[group, each.row.corrected_label], voters[group], unlike_training)
        for each, group, unlike_training in zip(rows, groups.values(), _novelty(rows), strict=True)
    ]
    scores = np.array([entry.signals.score for entry in entries])
    best = np.zeros(len(entries))
    np.maximum.at(best, firsts, scores)
    order = np.lexsort((-scores, firsts, -best[firsts]))  # the last key counts first; ties stay in the order of ids
    return [entries[position] for position in order.tolist()]


def _entry(reviewed: ReviewedRow, group: str, agreeing: int, voters: int, unlike_training: float) -> Entry:
    row, confidence = reviewed.row, max(reviewed.row.probabilities)
    return Entry(
        reviewed=reviewed,
        group=group,
        agreeing=agreeing,
        voters=voters,
        signals=Signals(
            sure_but_corrected=0.0 if row.is_confirmation or row.is_audit else confidence,
            disagreement=2 * min(agreeing, voters - agreeing) / voters if voters else 0.0,
            low_confidence=_low_confidence(confidence, len(row.probabilities)),
            unlike_training=unlike_training,
        ),
    )


@lru_cache(maxsize=2)  # takes a second for 100,000; rows change seldom
def _firsts(hashes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """For each row the position of the first one with a near-identical picture."""
    return group_near_duplicates(pack(hashes))


def _votes(rows: Iterable[ReviewedRow], groups: Mapping[str, str]) -> list[tuple[str, str]]:
    """Groups and what is said of them; rejected rows have no vote, nor has the audit sample, which nobody answered."""
    said = (each.row for each in rows if each.status is not Status.REJECTED and not each.row.is_audit)
    return [(groups[row.id], row.corrected_label) for row in votes(said, lambda row: groups[row.id])]


def _low_confidence(confidence: float, labels: int) -> float:
    least = 1 / labels
    return min(1.0, (1 - confidence) / (1 - least)) if least < 1 else 0.0


def _novelty(rows: Sequence[ReviewedRow]) -> list[float]:
    """Each row's rank by the score of its model for "none of the labels", among the rows of the same model."""
    found = [float(each.row.verdict == NEITHER) for each in rows]
    scored: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    known = [position for position, each in enumerate(rows) if NEITHER_SCORE in each.row.extra]
    extras = json.loads(f"[{','.join([rows[position].row.extra for position in known])}]")  # at once: see `rows_from`
    for position, extra in zip(known, extras, strict=True):
        if isinstance(score := extra.get(NEITHER_SCORE), int | float):
            scored[rows[position].row.model_revision].append((float(score), position))
    for ranked in map(sorted, scored.values()):
        for rank, (_, position) in enumerate(ranked):
            found[position] = rank / len(ranked)
    return found

"""The gate: may the challenger take the champion's place?

Two questions are asked. Did the challenger learn something from the feedback? Its twin, which never saw the feedback,
is what it has to beat on people's answers (`learning`). Has anything got worse? The champion is what it is compared
with, on pictures that nobody selected (`rules`). A challenger that cannot be judged is refused, before it is trained if
that can be told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from catdog.cli import counted
from feedback.review.needed import chance, corrections_needed
from train.gate.evidence import Answers, Asked, Evidence, Outputs
from train.gate.history import History, Look
from train.gate.learning import claims, judge_learning
from train.gate.report import GateReport, Picture, Slice
from train.gate.rules import (
    Rules,
    judge_accuracy,
    judge_confirmed,
    judge_ece,
    judge_latency,
    judge_log_loss,
    judge_rejection,
    judge_slices,
    slice_of,
)
from train.gate.significance import lower_bound, smallest_p
from train.metrics import ece

ALL = "all"
"""The name of all test pictures among kinds of them."""
_FEW_TEST_PICTURES = 500


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the gate will be able to tell, before anything is trained."""

    reason: str | None
    """Why it can only refuse; None if it may accept."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """What there is to judge by, in groups of near-duplicates."""

    answers: int
    """With a label of the model."""
    corrections: int
    """Those that the champion has wrong."""
    neither: int
    """Answers `neither`, where the model has a rule for it; else 0."""
    turned_away: int
    """Answers with a label that are turned away as `neither`, where these are so many that the rule learns from it."""
    test: int
    """Test pictures."""


def foresee(counts: Counts, history: History, *, rules: Rules, now: datetime) -> Outlook:
    """Tell before any training what can be judged at all.

    Args:
        counts: What there is to judge by.
        history: Earlier looks at challengers of this repository.
        rules: What is good enough.
        now: Time of this look.
    """
    level = history.level(now)
    notes = (*_small_test(counts.test, rules), _outlook(counts.corrections, level))
    if counts.answers + counts.neither < rules.min_answers:
        return Outlook(f"{counted(counts.answers + counts.neither, 'answer')}, {rules.min_answers} are needed", notes)
    if smallest_p(max(counts.corrections, counts.neither, counts.turned_away)) >= level:
        return Outlook(
            f"the model is wrong about {counts.corrections} of {counted(counts.answers, 'answer')}, too few to show a "
            f"gain at p < {level:.2g}; with {corrections_needed(level)} mistakes a challenger that removes 30% of them "
            "would pass in four of five cases",
            notes,
        )
    return Outlook(None, notes)


def judge(evidence: Evidence, history: History, *, rules: Rules, now: datetime, champion: str = "") -> GateReport:
    """Apply every rule.

    Args:
        evidence: What the models say.
        history: Earlier looks at challengers of this repository.
        rules: What is good enough.
        now: Time of this look.
        champion: Revision of the model to be replaced, for the history.
    """
    test, answers = evidence.test, evidence.answers
    level = history.level(now)
    unselected = evidence.unselected
    gains = unselected.gains("champion")
    bound = lower_bound(gains, seed=0)
    slices = tuple(slice_of(name, mask, test, rules) for name, mask in evidence.slices.items())
    claimed = claims(evidence)
    checks = (
        judge_learning(evidence, claimed, level, rules),
        judge_confirmed(answers, rules),
        *judge_accuracy(gains, bound, rules),
        judge_log_loss(unselected, rules),
        judge_slices(slices, test.gains("champion"), evidence.slices, rules),
        judge_ece(unselected, rules),
        judge_latency(evidence.latency, rules),
        *judge_rejection(evidence.rejection, rules),
    )
    accepted = all(check.passed for check in checks)
    joint_p = min(1.0, min(each.p for each in claimed) * len(claimed))
    return GateReport(
        accepted=accepted,
        checks=checks,
        slices=slices,
        numbers={
            **_numbers("test", test),
            **_numbers("answers", answers.outputs),
            "unselected_n": len(unselected),
            "lower_bound": bound,
            "level": level,
            "p": None, "p_neither": None, "p_let_through": None,
            **{each.name: each.p for each in claimed},
            "champion_ms": evidence.latency.champion_ms,
            "challenger_ms": evidence.latency.challenger_ms,
        },
        pictures=tuple(_pictures(answers)),
        notes=tuple(_notes(test, answers, rules)),
        look=Look(
            at=now, champion=champion, answers=len(answers), p=joint_p, level=level, accepted=accepted,
            accuracy=_by_kind(test, slices),
        ),
    )  # fmt: skip


def _notes(test: Outputs, answers: Answers, rules: Rules) -> list[str]:
    notes = list(_small_test(len(test), rules))
    if len(answers) and not answers.outputs.right("champion").any():
        notes.append(
            "Nobody confirmed an answer: whether the other labels of the corrected kinds got worse cannot be seen."
        )
    if not answers.which(Asked.SAMPLE).any():
        notes.append("There is no random sample (CATDOG_AUDIT_SHARE): only the test set shows what got worse.")
    return notes


def _small_test(n: int, rules: Rules) -> tuple[str, ...]:
    if n >= _FEW_TEST_PICTURES:
        return ()
    points = 100 * rules.bound_allowed(n)
    return (f"{counted(n, 'test picture')} cannot show a loss of less than {points:.1f} points; it may go unnoticed.",)


def _outlook(corrections: int, level: float) -> str:
    return (
        f"With {counted(corrections, 'correction')} a challenger that removes 30% of such mistakes passes in about "
        f"{chance(corrections, level):.0%} of cases (p < {level:.2g} is asked)."
    )


def _pictures(answers: Answers) -> list[Picture]:
    """The answers that at least two of the models see differently."""
    outputs = answers.outputs
    right = np.stack([outputs.right(model) for model in ("champion", "challenger", "twin")])
    index = np.arange(len(answers))
    given = [getattr(outputs, model)[index, outputs.labels] for model in ("champion", "challenger", "twin")]
    found = []
    for i in np.flatnonzero(right.any(axis=0) & ~right.all(axis=0)).tolist():
        was, now = bool(right[0, i]), bool(right[1, i])
        champion, challenger, twin = (float(each[i]) for each in given)
        found.append(
            Picture(
                row_ids=answers.row_ids[i], label=int(outputs.labels[i]), asked=answers.asked[i],
                champion=champion, challenger=challenger, twin=twin,
                outcome="twin" if was == now else "won" if now else "lost",
            )
        )  # fmt: skip
    return found


def _by_kind(test: Outputs, slices: Sequence[Slice]) -> dict[str, float]:
    """The challenger's accuracy on all test pictures, and on kinds of them."""
    known = {each.name: each.accuracy for each in slices if each.accuracy is not None and each.judged}
    return {ALL: float(test.right("challenger").mean()), **known}


def _numbers(prefix: str, outputs: Outputs) -> dict[str, float | int | None]:
    n = len(outputs)
    numbers: dict[str, float | int | None] = {f"{prefix}_n": n}
    for who in ("champion", "challenger", "twin"):
        numbers[f"{prefix}_{who}_accuracy"] = float(outputs.right(who).mean()) if n else None
        numbers[f"{prefix}_{who}_log_loss"] = float(outputs.loss(who).mean()) if n else None
        numbers[f"{prefix}_{who}_ece"] = ece(getattr(outputs, who), outputs.labels) if n else None
    return numbers

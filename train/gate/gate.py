"""The gate: may the challenger take the champion's place? Rules, their reasons, and a report for people and programs.

Two questions are asked. Did the challenger learn something from the feedback? Its twin, which never saw the feedback,
is what it has to beat on people's answers. Has anything got worse? The champion is what it is compared with, on
pictures that nobody selected. A challenger that cannot be judged is refused, before it is trained if that can be told.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from catdog.cli import counted
from catdog.errors import ModelError
from feedback.review.needed import chance, corrections_needed
from train.evaluation.slices import Mask
from train.gate.evidence import Answers, Asked, Evidence, Latency, Outputs, Rejection
from train.gate.history import History, Look
from train.gate.significance import Gains, chance_loss, lower_bound, mcnemar, mean_by_group, sign_flip, smallest_p
from train.metrics import Floats, ece, wilson

GATE_FILE = "gate.json"

ALL = "all"
"""The name of all test pictures among kinds of them."""
_SHOWN_SLICES = 20
_FEW_TEST_PICTURES = 500


@dataclass(frozen=True, slots=True)
class Rules:
    """When a challenger is good enough. Shares of pictures, in [0, 1]. Small test sets get wider margins."""

    max_loss: float = 0.001
    """Of accuracy on unselected pictures, against the champion; one picture may always be lost, and what chance alone
    takes away once in twenty times, if that is more."""
    max_bound_loss: float = 0.003
    """One-sided 95% bound of that loss, paired bootstrap over pictures; `bound_pictures` of them may always be lost."""
    bound_pictures: int = 6
    max_log_loss_rise: float = 0.005
    """In nats; a tenth of the champion's is allowed where that is more."""
    slice_size: int = 100
    """Smaller slices are shown, and not judged."""
    max_slice_loss: float = 0.01
    """Or what chance alone takes away once in twenty times, if that is more."""
    max_ece: float = 0.02
    max_ece_rise: float = 0.01
    """ECE may be as large as `max_ece`, or as the champion's plus this, whichever is more."""
    max_slowdown: float = 1.25
    latency_slack_ms: float = 1.0
    """Latency may be the champion's times `max_slowdown`, plus this."""
    min_answers: int = 30
    """Groups of near-duplicates."""
    max_confirmed_loss: float = 0.05
    """Of the answers that confirm the champion; one may always be lost, or what chance takes away."""
    max_turned_away_rise: float = 0.002
    """Share of test pictures that the rule for "neither" may turn away beyond what the champion's does."""

    def loss_allowed(self, n: int) -> float:
        """Of accuracy on n unselected pictures."""
        return max(self.max_loss, 1 / n)

    def bound_allowed(self, n: int) -> float:
        """Of its 95% bound."""
        return max(self.max_bound_loss, self.bound_pictures / n)


class Check(BaseModel):
    """One rule and what became of it."""

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    finding: str
    """In words, with the numbers."""


class Slice(BaseModel):
    """How one kind of picture fared."""

    model_config = ConfigDict(frozen=True)

    name: str
    n: int
    difference: float | None
    """Of accuracy, challenger minus champion; None of no pictures."""
    judged: bool
    accuracy: float | None = None
    """The challenger's."""


class Picture(BaseModel):
    """An answer about which the models differ, with the probability that each gives to the true label."""

    model_config = ConfigDict(frozen=True)

    row_ids: tuple[str, ...]
    label: int
    asked: Asked
    champion: float
    challenger: float
    twin: float
    outcome: str
    """`won`: only the challenger is right, `lost`: only the champion is, `twin`: the twin alone differs from it."""


class GateReport(BaseModel):
    """Why a challenger was accepted or refused."""

    model_config = ConfigDict(frozen=True)

    accepted: bool
    checks: tuple[Check, ...]
    slices: tuple[Slice, ...]
    numbers: dict[str, float | int | None]
    """Accuracy, log loss, ECE and latency of the models, counts of answers, and the statistics."""
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()
    """What could not be judged, or only roughly."""
    look: Look | None = None
    """For the history of the gate."""

    @property
    def reasons(self) -> list[str]:
        """Why it was refused; empty if it was not."""
        return [check.finding for check in self.checks if not check.passed]

    def as_text(self) -> str:
        """For people: a line a rule, then the slices."""
        lines = [f"{'passed' if check.passed else 'FAILED'}  {check.name}: {check.finding}" for check in self.checks]
        lines += [f"note    {note}" for note in self.notes]
        lines += ["", "slice                 n   difference"]
        lines += [_slice_line(each) for each in self.slices[:_SHOWN_SLICES]]
        return "\n".join(["accepted" if self.accepted else "REFUSED", *lines])


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
    if min(smallest_p(counts.corrections), smallest_p(counts.neither)) >= level:
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
    slices = tuple(_slice(name, mask, test, rules) for name, mask in evidence.slices.items())
    p = learning_p(evidence)
    p_neither = _rejection_p(evidence.rejection)
    learned = _judge_learning(answers, evidence.rejection, p, p_neither, level, rules)
    checks = (
        learned,
        _judge_confirmed(answers, rules),
        *_judge_accuracy(gains, bound, rules),
        _judge_log_loss(unselected, rules),
        _judge_slices(slices, test.gains("champion"), evidence.slices, rules),
        _judge_ece(unselected, rules),
        _judge_latency(evidence.latency, rules),
        *_judge_rejection(evidence.rejection, rules),
    )
    accepted = all(check.passed for check in checks)
    joint_p = min(1.0, 2 * min(p, p_neither)) if evidence.rejection else p
    return GateReport(
        accepted=accepted,
        checks=checks,
        slices=slices,
        numbers={
            **_numbers("test", test),
            **_numbers("answers", answers.outputs),
            "unselected_n": len(unselected),
            "lower_bound": bound,
            "p": p,
            "level": level,
            "p_neither": p_neither if evidence.rejection else None,
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


def learning_p(evidence: Evidence, *, seed: int = 0) -> float:
    """How likely the challenger's lead over its twin is if the feedback taught it nothing.

    The lead is in log loss, and an estimate for pictures as they come: mistakes of the champion, which people report
    far more often than what it has right, weigh as much as they are frequent among unselected pictures, label by
    label. So a challenger that is merely less certain, or that leans to the label which is reported most, gains
    nothing: what it wins on mistakes it loses on the rest. Permutation test over groups of near-duplicates. Mistakes
    that are newly right must outnumber the twin's, too (McNemar): the larger p counts.
    """
    outputs, groups = evidence.answers.outputs, evidence.answers.groups
    wrong = ~outputs.right("champion")
    if not wrong.any():
        return 1.0
    newly_right = np.sign(mean_by_group(outputs.gains("twin")[wrong].astype(np.float64), groups[wrong]))
    # Two networks that happen to differ win all of a kind together by a little; few of these pictures become right.
    return max(sign_flip(_units(evidence), seed=seed), mcnemar(newly_right.astype(np.int64)))


def read_report(path: Path) -> GateReport:
    """Read `gate.json`.

    Raises:
        ModelError: it is missing or damaged.
    """
    try:
        return GateReport.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(f"{path} is not a gate report ({type(error).__name__}). Retrain the model.") from None


def write_report(path: Path, report: GateReport) -> None:
    """Write `gate.json`."""
    path.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _units(evidence: Evidence) -> Floats:
    """By how much the twin's log loss exceeds the challenger's, a weighted value per group of near-duplicates.

    Pictures form strata by their label and by whether the champion has them right; each weighs as much as it is
    frequent among unselected pictures. Mistakes are those that people reported, and those of the kept pictures only for
    a label that nobody reported; what is right are confirmed answers and kept pictures.
    """
    kept, answers, unselected = evidence.kept, evidence.answers, evidence.unselected
    units, labels = [], kept.champion.shape[1]
    for label in range(labels):
        for is_right in (False, True):
            share = (_stratum(unselected, label, is_right).sum() + 0.5) / (len(unselected) + labels)
            answered, there = (_stratum(outputs, label, is_right) for outputs in (answers.outputs, kept))
            leads = mean_by_group(_lead(answers.outputs)[answered], answers.groups[answered])
            if is_right or not answered.any():
                leads = np.concatenate([leads, _lead(kept)[there]])
            units.append(share * leads / max(1, len(leads)))
    return np.concatenate(units)


def _stratum(outputs: Outputs, label: int, is_right: bool) -> Mask:
    mask: Mask = (outputs.labels == label) & (outputs.right("champion") == is_right)
    return mask


def _lead(outputs: Outputs) -> Floats:
    return outputs.loss("twin") - outputs.loss("challenger")


def _judge_learning(  # noqa: PLR0913, PLR0917 - each is one thing
    answers: Answers, rejection: Rejection | None, p: float, p_neither: float, level: float, rules: Rules
) -> Check:
    """Whether labels or `neither` were learned; where both are asked about, each has half of the level."""
    each_level = level / 2 if rejection else level
    told = [_told(answers, p, each_level)]
    if rejection:
        told.append(f"{_told_neither(rejection)}: p = {p_neither:.2g}")
    too_few = _groups(answers) + (len(rejection.champion) if rejection else 0) < rules.min_answers
    if too_few:
        told.insert(0, f"{counted(len(answers), 'answer')}, too few to show a gain: {rules.min_answers} are needed")
    return Check(
        name="learned from feedback", passed=not too_few and min(p, p_neither) < each_level, finding="; ".join(told)
    )


def _told(answers: Answers, p: float, level: float) -> str:
    outputs = answers.outputs
    wrong = ~outputs.right("champion")
    n = int(wrong.sum())
    if not n:
        return f"the champion has all {len(answers)} answers right, so there is nothing to learn"
    won, twin = int(outputs.right("challenger")[wrong].sum()), int(outputs.right("twin")[wrong].sum())
    low, high = wilson(won, n)
    verdict = "" if p < level else ". Nothing systematic was found in the feedback"
    return (
        f"of {counted(n, 'correction')} {won} newly right ({low:.0%} to {high:.0%}), {twin} without the feedback; "
        f"log loss against the twin, weighted: p = {p:.2g}, below {level:.2g} is asked{verdict}"
    )


def _told_neither(rejection: Rejection) -> str:
    n = len(rejection.champion)
    return (
        f"of {n} answers `neither` {int(rejection.challenger.sum())} are turned away, "
        f"{int(rejection.champion.sum())} before and {int(rejection.twin.sum())} without the feedback"
    )


def _judge_confirmed(answers: Answers, rules: Rules) -> Check:
    """What people confirmed may get worse while their corrections are learned: the same kind, the other label."""
    confirmed = answers.outputs.right("champion")
    n = int(confirmed.sum())
    gains = answers.outputs.gains("twin")[confirmed]
    lost = -int(gains.sum())
    allowed = max(1, math.floor(rules.max_confirmed_loss * n), math.floor(chance_loss(gains)))
    newly = int((~answers.outputs.right("challenger"))[confirmed].sum())
    twin = int((~answers.outputs.right("twin"))[confirmed].sum())
    return Check(
        name="confirmed answers",
        passed=lost <= allowed,
        finding=f"of {n} {newly} newly wrong, {twin} without the feedback; {allowed} more than that are allowed",
    )


def _judge_accuracy(gains: Gains, bound: float, rules: Rules) -> tuple[Check, Check]:
    n = len(gains)
    allowed, bound_allowed = max(rules.loss_allowed(n), chance_loss(gains) / n), rules.bound_allowed(n)
    difference = float(gains.mean())
    return (
        Check(
            name="accuracy on unselected pictures",
            passed=difference >= -allowed,
            finding=f"{_points(difference)} on {n} pictures ({(gains > 0).sum()} newly right, {(gains < 0).sum()} "
            f"newly wrong), at least {_points(-allowed)} is asked",
        ),
        Check(
            name="its 95% lower bound",
            passed=bound >= -bound_allowed,
            finding=f"{_points(bound)}, at least {_points(-bound_allowed)} is asked",
        ),
    )


def _judge_log_loss(unselected: Outputs, rules: Rules) -> Check:
    losses = unselected.loss("champion"), unselected.loss("challenger")
    before, after = (float(loss.mean()) for loss in losses)
    # As with accuracy, one picture may be lost: from certain to one in ten.
    allowed = before + max(rules.max_log_loss_rise, before / 10, -math.log(0.1) / len(losses[0]))
    return Check(
        name="log loss on unselected pictures",
        passed=after <= allowed,
        finding=f"{after:.4f} after {before:.4f}, at most {allowed:.4f} is allowed",
    )


def _judge_slices(slices: tuple[Slice, ...], gains: Gains, masks: Mapping[str, Mask], rules: Rules) -> Check:
    judged = [each for each in slices if each.judged and each.difference is not None]
    bad = [each for each in judged if -(each.difference or 0.0) > _slice_allowed(gains[masks[each.name]], rules)]
    told = ", ".join(f"{each.name} {_points(each.difference or 0.0)} of {each.n}" for each in bad)
    return Check(
        name="slices",
        passed=not bad,
        finding=f"{told or f'none of {len(judged)}'} loses more than {_points(rules.max_slice_loss)}",
    )


def _slice_allowed(gains: Gains, rules: Rules) -> float:
    """If as many pictures changed either way at random, this much would be lost in one of twenty slices."""
    return max(rules.max_slice_loss, chance_loss(gains) / len(gains)) + 1e-9


def _judge_ece(unselected: Outputs, rules: Rules) -> Check:
    before, after = (ece(each, unselected.labels) for each in (unselected.champion, unselected.challenger))
    rise = max(rules.max_ece_rise, 0.5 / math.sqrt(len(unselected)))
    allowed = max(rules.max_ece, before + rise)
    return Check(
        name="calibration",
        passed=after <= allowed,
        finding=f"expected calibration error {after:.2%} after {before:.2%}, at most {allowed:.2%} is allowed",
    )


def _judge_latency(latency: Latency, rules: Rules) -> Check:
    allowed = latency.champion_ms * rules.max_slowdown + rules.latency_slack_ms
    return Check(
        name="latency",
        passed=latency.challenger_ms <= allowed,
        finding=f"{latency.challenger_ms:.1f} ms after {latency.champion_ms:.1f} ms, at most {allowed:.1f} is allowed",
    )


def _rejection_p(rejection: Rejection | None) -> float:
    if rejection is None:
        return 1.0
    return mcnemar(rejection.challenger.astype(np.int64) - rejection.twin.astype(np.int64))


def _judge_rejection(rejection: Rejection | None, rules: Rules) -> tuple[Check, ...]:
    if rejection is None:
        return ()
    before, after = float(rejection.test_champion.mean()), float(rejection.test_challenger.mean())
    allowed = before + max(rules.max_turned_away_rise, 1 / len(rejection.test_champion))
    finding = f"{after:.2%} after {before:.2%}, at most {allowed:.2%} is allowed"
    return (Check(name='test pictures turned away as "neither"', passed=after <= allowed, finding=finding),)


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


def _groups(answers: Answers) -> int:
    return len(np.unique(answers.groups))


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


def _slice(name: str, mask: Mask, test: Outputs, rules: Rules) -> Slice:
    n, gains = int(mask.sum()), test.gains("champion")[mask]
    return Slice(
        name=name,
        n=n,
        difference=float(gains.mean()) if n else None,
        judged=n >= rules.slice_size,
        accuracy=float(test.right("challenger")[mask].mean()) if n else None,
    )


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


def _slice_line(each: Slice) -> str:
    difference = "-" if each.difference is None else _points(each.difference)
    return f"{each.name:<16} {each.n:>6}   {difference}{'' if each.judged else '  (too few to judge)'}"


def _points(share: float) -> str:
    """A difference of shares in percentage points."""
    return f"{100 * share:+.2f} points"

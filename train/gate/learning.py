"""Did the challenger learn something from the feedback? It has to beat its twin, which never saw the feedback."""

import numpy as np

from catdog.cli import counted
from train.evaluation.slices import Mask
from train.gate.evidence import Answers, Evidence, Outputs, Rejection
from train.gate.report import Check
from train.gate.rules import Rules
from train.gate.significance import Gains, mcnemar, mean_by_group, sign_flip
from train.metrics import Floats, Labels, wilson

_CHANCE = 0.03
"""From this p-value on chance explains that more is right."""


def learning_p(evidence: Evidence, *, seed: int = 0) -> float:
    """How likely the challenger's lead over its twin is if the feedback taught it nothing.

    The lead is in log loss, and an estimate for pictures as they come: mistakes of the champion, which people report
    far more often than what it has right, weigh as much as they are frequent among unselected pictures, label by
    label. So a challenger that is merely less certain, or that leans to the label which is reported most, gains
    nothing: what it wins on mistakes it loses on the rest. Which label the mistakes are of is told by old pictures that
    were made to look like the answers, where there are any: a kind of picture has mistakes of its own. Permutation test
    over groups of near-duplicates.

    Beside it significantly more mistakes have to be right than the twin has, and more answers altogether: if chance
    explains that (McNemar), its p-value counts instead. Two networks that merely differ win all of a kind by a little,
    and few of these pictures become right. And where old pictures that look like the answers teach most, labels drawn
    at random would do as well, but as many confirmed answers become wrong.
    """
    outputs, groups = evidence.answers.outputs, evidence.answers.groups
    wrong = ~outputs.right("champion")
    if not wrong.any():
        return 1.0
    newly_right = mcnemar(_changes(outputs.some(wrong), groups[wrong])), mcnemar(_changes(outputs, groups))
    return max([sign_flip(_units(evidence), seed=seed), *(p for p in newly_right if p >= _CHANCE)])


def _changes(outputs: Outputs, groups: Labels) -> Gains:
    """1 for each group of near-duplicates that the challenger has right and the twin wrong, -1 for the reverse."""
    gained: Gains = np.sign(mean_by_group(outputs.gains("twin").astype(np.float64), groups)).astype(np.int64)
    return gained


def _units(evidence: Evidence) -> Floats:
    """By how much the twin's log loss exceeds the challenger's, a weighted value per group of near-duplicates.

    Pictures form strata by their label and by whether the champion has them right; each weighs as much as it is
    frequent among unselected pictures. Mistakes are those that people reported, and those of the kept pictures only for
    a label that nobody reported; what is right are confirmed answers and kept pictures.
    """
    kept, answers, units = evidence.kept, evidence.answers, list[Floats]()
    for label, shares in enumerate(_frequencies(evidence)):
        for is_right, share in zip((False, True), shares, strict=True):
            answered, there = (_stratum(outputs, label, is_right) for outputs in (answers.outputs, kept))
            leads = mean_by_group(_lead(answers.outputs)[answered], answers.groups[answered])
            if is_right or not answered.any():
                leads = np.concatenate([leads, _lead(kept)[there]])
            units.append(share * leads / max(1, len(leads)))
    return np.concatenate(units)


def _frequencies(evidence: Evidence) -> Floats:
    """How frequent pictures of a label are that the champion has wrong, or right: shape (labels, 2); their sum is 1."""
    unselected, likeness = evidence.unselected, evidence.answers.likeness
    labels = range(unselected.champion.shape[1])
    counts = 0.5 + np.array([[_stratum(unselected, label, right).sum() for right in (False, True)] for label in labels])
    if likeness:
        wrong = 0.5 + likeness.wrong
        counts[:, 0] = counts[:, 0].sum() * wrong / wrong.sum()
    frequencies: Floats = counts / counts.sum()
    return frequencies


def _stratum(outputs: Outputs, label: int, is_right: bool) -> Mask:
    mask: Mask = (outputs.labels == label) & (outputs.right("champion") == is_right)
    return mask


def _lead(outputs: Outputs) -> Floats:
    return outputs.loss("twin") - outputs.loss("challenger")


def rejection_p(rejection: Rejection | None) -> float:
    """p-value of the challenger rejecting more `neither` answers than its twin (McNemar); 1 without a rule."""
    if rejection is None:
        return 1.0
    return mcnemar(rejection.challenger.astype(np.int64) - rejection.twin.astype(np.int64))


def asks_both(answers: Answers, rejection: Rejection | None) -> bool:
    """Whether there are answers of labels and answers `neither`, so that there are two ways to pass."""
    return len(answers) > 0 and rejection is not None


def judge_learning(  # noqa: PLR0913, PLR0917 - each is one thing
    answers: Answers, rejection: Rejection | None, p: float, p_neither: float, level: float, rules: Rules
) -> Check:
    """Whether labels or `neither` were learned; where both are asked about, each has half of the level."""
    each_level = level / 2 if asks_both(answers, rejection) else level
    told = [_told(answers, p, each_level)] if len(answers) or not rejection else []
    if rejection:
        told.append(f"{_told_neither(rejection)}: p = {p_neither:.2g}, below {each_level:.2g} is asked")
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


def _groups(answers: Answers) -> int:
    return len(np.unique(answers.groups))

"""Did the challenger learn something from the feedback? It has to beat its twin, which never saw the feedback."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from catdog.cli import counted
from train.evaluation.slices import Mask
from train.gate.estimate import Estimate
from train.gate.evidence import Answers, Evidence, Outputs, TurnedAway
from train.gate.report import Check
from train.gate.rules import Rules
from train.gate.significance import Gains, mcnemar, mean_by_group, sign_flip
from train.metrics import Labels, wilson

_CHANCE = 0.05
"""From this p-value on chance explains a comparison that must hold beside the one with the twin."""
_ORDERS = 9999


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that feedback may have taught the challenger."""

    name: str
    """`p`, `p_neither` or `p_let_through`, in the report's numbers."""
    p: float
    """How likely what it shows is if it was taught nothing."""
    finding: str
    asked: float | None = None
    """Below this p has to be; None asks for this claim's part of the look's level."""


def learned_labels(evidence: Evidence, *, seed: int = 0) -> Claim:
    """How likely the challenger's lead over its twin is if the feedback taught it nothing.

    The lead is in log loss, and an estimate for pictures as they come: mistakes of the champion, which people report
    far more often than what it has right, weigh as much as they are frequent among unselected pictures. So a challenger
    that is merely less certain loses on the rest what it wins on mistakes. Permutation test over groups of
    near-duplicates.

    Chance must not explain any of these either, or its p-value counts instead:

    - More mistakes are right than the twin has, and more answers altogether (McNemar). Two networks that merely differ
      win all of a kind by a little, and few of these pictures become right. And where old pictures that look like the
      answers teach most, labels drawn at random would do as well, but as many confirmed answers become wrong.
    - The same lead over the champion. A challenger that had luck with its training leads over a twin that had none, but
      both are worse than what they come from.
    - The same lead over the twin once both are recalibrated. Often nearly everything that people report has one label,
      and a model that just says it more often, or is less certain, knows the pictures no better.
    """
    outputs, groups = evidence.answers.outputs, evidence.answers.groups
    wrong = ~outputs.right("champion")
    if not wrong.any():
        return Claim("p", 1.0, f"the champion has the labels of all {len(outputs)} answers right")
    told = _told(outputs, wrong)
    for chosen, what in ((np.ones_like(wrong), "answers"), (wrong, "corrections")):
        p = mcnemar(_changes(outputs.some(chosen), groups[chosen]))
        if p >= _CHANCE:
            return Claim("p", p, f"{told}; {what} newly right against the twin", _CHANCE)
    estimate = Estimate.of(evidence)
    for lead, what in (
        (estimate.lead("champion"), "log loss against the champion"),
        (estimate.lead("twin", recalibrated=True), "log loss against the twin, both recalibrated"),
    ):
        p = sign_flip(lead, seed=seed)
        if p >= _CHANCE:
            return Claim("p", p, f"{told}; {what}", _CHANCE)
    return Claim("p", sign_flip(estimate.lead("twin"), seed=seed), f"{told}; log loss against the twin")


def _changes(outputs: Outputs, groups: Labels) -> Gains:
    """1 for each group of near-duplicates that the challenger has right and the twin wrong, -1 for the reverse."""
    gained: Gains = np.sign(mean_by_group(outputs.gains("twin").astype(np.float64), groups)).astype(np.int64)
    return gained


def claims(evidence: Evidence) -> tuple[Claim, ...]:
    """What the challenger can claim to have learned, at least one thing: each way to pass costs the others some level.

    The labels of pictures; to turn away what people called `neither`; to give a label to what they named.
    """
    answers, rejection = evidence.answers, evidence.rejection
    found = []
    if len(answers) or not rejection:
        found.append(learned_labels(evidence))
    if rejection and len(rejection.neither):
        found.append(Claim("p_neither", rejection_p(rejection.neither), _told_neither(rejection.neither)))
    if rejection and _let_through(rejection.answers).any():
        found.append(
            Claim(
                "p_let_through",
                let_through_p(answers, rejection.answers),
                _told_let_through(answers, rejection.answers),
            )
        )
    return tuple(found)


def rejection_p(neither: TurnedAway) -> float:
    """p-value of the challenger rejecting more `neither` answers than its twin (McNemar)."""
    return mcnemar(neither.challenger.astype(np.int64) - neither.champion.astype(np.int64))


def let_through_p(answers: Answers, turned_away: TurnedAway, *, seed: int = 0) -> float:
    """p-value of giving labels to pictures that the champion turned away as `neither` though people named them.

    More of the labels have to be right than wrong (McNemar), and they have to agree with people's more than these do in
    any other order (permutation): where people, or the challenger, always say the same, nothing is shown.
    """
    through, outputs = _let_through(turned_away), answers.outputs
    _, first = np.unique(answers.groups[through], return_index=True)
    labels, right = outputs.labels[through][first], outputs.right("challenger")[through][first]
    if not len(labels):
        return 1.0
    said = outputs.challenger.argmax(axis=1)[through][first]
    orders = np.random.default_rng(seed).permuted(np.tile(labels, (_ORDERS, 1)), axis=1)
    as_good = int(((orders == said).sum(axis=1) >= right.sum()).sum())
    return max(mcnemar(2 * right.astype(np.int64) - 1), (as_good + 1) / (_ORDERS + 1))


def _let_through(turned_away: TurnedAway) -> Mask:
    through: Mask = turned_away.champion & ~turned_away.challenger
    return through


def judge_learning(evidence: Evidence, claimed: Sequence[Claim], level: float, rules: Rules) -> Check:
    """Whether anything was learned; where there are several ways to show it, each has its part of the level."""
    answers, each_level = evidence.answers, level / len(claimed)
    told = [f"{each.finding}: p = {each.p:.2g}, below {each.asked or each_level:.2g} is asked" for each in claimed]
    passed = any(each.p < each_level for each in claimed)
    too_few = _groups(answers) + (len(evidence.rejection.neither) if evidence.rejection else 0) < rules.min_answers
    if too_few:
        told.insert(0, f"{counted(len(answers), 'answer')}, too few to show a gain: {rules.min_answers} are needed")
    elif not passed and len(answers):
        told.append("Nothing systematic was found in the feedback")
    return Check(name="learned from feedback", passed=passed and not too_few, finding="; ".join(told))


def _told(outputs: Outputs, wrong: Mask) -> str:
    n = int(wrong.sum())
    won, twin = int(outputs.right("challenger")[wrong].sum()), int(outputs.right("twin")[wrong].sum())
    low, high = wilson(won, n)
    return f"of {counted(n, 'correction')} {won} newly right ({low:.0%} to {high:.0%}), {twin} without the feedback"


def _told_neither(neither: TurnedAway) -> str:
    return (
        f"of {len(neither)} answers `neither` {int(neither.challenger.sum())} are turned away, "
        f"{int(neither.champion.sum())} before and without the feedback"
    )


def _told_let_through(answers: Answers, turned_away: TurnedAway) -> str:
    through = _let_through(turned_away)
    right = int(answers.outputs.right("challenger")[through].sum())
    return (
        f"of {int(turned_away.champion.sum())} answers with a label that are turned away as `neither` "
        f"{int(through.sum())} get a label now, {right} the right one"
    )


def _groups(answers: Answers) -> int:
    return len(np.unique(answers.groups))

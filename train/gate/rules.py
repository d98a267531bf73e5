"""Has anything got worse? The rules, each with its reason and what it found, against the champion."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from train.evaluation.slices import Mask
from train.gate.evidence import Answers, Latency, Outputs, Rejection
from train.gate.report import Check, Slice, points
from train.gate.significance import Gains, at_most, chance_loss
from train.metrics import ece


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
    lost_of_gained: float = 2 / 3
    """Of what a kind of picture gains, so much may be lost among its confirmed answers, where that is more ..."""
    wrong_clicks: float = 0.05
    """... and this share of the mistakes that people saw may have been confirmed by a wrong click."""
    max_turned_away_rise: float = 0.002
    """Share of test pictures that the rule for "neither" may turn away beyond what the champion's does; or what chance
    alone does once in twenty times, if that is more."""

    def loss_allowed(self, n: int) -> float:
        """Of accuracy on n unselected pictures."""
        return max(self.max_loss, 1 / n)

    def bound_allowed(self, n: int) -> float:
        """Of its 95% bound."""
        return max(self.max_bound_loss, self.bound_pictures / n)


def judge_confirmed(answers: Answers, rules: Rules) -> Check:
    """What people confirmed may get worse while their corrections are learned: the same kind, the other label."""
    outputs = answers.outputs
    confirmed = outputs.right("champion")
    gains, n = outputs.gains("twin")[confirmed], int(confirmed.sum())
    allowed = max(1, math.floor(rules.max_confirmed_loss * n), chance_loss(gains), _made_up_for(answers, rules))
    newly, twin = (int((~outputs.right(model))[confirmed].sum()) for model in ("challenger", "twin"))
    likeness = answers.likeness
    known = f" (the champion has at least {likeness.error_rate:.0%} of such pictures wrong)" if likeness else ""
    return Check(
        name="confirmed answers",
        passed=-int(gains.sum()) <= allowed,
        finding=f"of {n} {newly} newly wrong, {twin} without the feedback; {allowed} more than that are allowed{known}",
    )


def _made_up_for(answers: Answers, rules: Rules) -> int:
    """How many confirmed answers may be lost for the corrections that are newly right.

    Some mistakes are confirmed by a wrong click, and seem lost where they are newly right. And of a kind that the
    champion often has wrong, a better model may change its mind in both directions. People report mistakes more often
    than right answers, so the share of mistakes among their answers is only an upper limit of the error rate. Where so
    many are lost on average, chance takes more once in twenty times.
    """
    wrong = ~answers.outputs.right("champion")
    if wrong.all() or not wrong.any():
        return 0
    newly_right = max(0.0, float(answers.outputs.gains("twin")[wrong].mean()))
    error_rate = min(answers.likeness.error_rate if answers.likeness else 0.0, float(wrong.mean()))
    confirmed = int((~wrong).sum())
    clicks = rules.wrong_clicks * int(wrong.sum())
    of_the_kind = rules.lost_of_gained * error_rate / (1 - error_rate) * confirmed
    return at_most(confirmed, min(1.0, newly_right * (clicks + of_the_kind) / confirmed))


def judge_accuracy(gains: Gains, bound: float, rules: Rules) -> tuple[Check, Check]:
    """Accuracy on unselected pictures against the champion, and its 95% bound."""
    n = len(gains)
    allowed, bound_allowed = max(rules.loss_allowed(n), chance_loss(gains) / n), rules.bound_allowed(n)
    difference = float(gains.mean())
    return (
        Check(
            name="accuracy on unselected pictures",
            passed=difference >= -allowed,
            finding=f"{points(difference)} on {n} pictures ({(gains > 0).sum()} newly right, {(gains < 0).sum()} "
            f"newly wrong), at least {points(-allowed)} is asked",
        ),
        Check(
            name="its 95% lower bound",
            passed=bound >= -bound_allowed,
            finding=f"{points(bound)}, at least {points(-bound_allowed)} is asked",
        ),
    )


def judge_log_loss(unselected: Outputs, rules: Rules) -> Check:
    """Probabilities on unselected pictures against the champion."""
    losses = unselected.loss("champion"), unselected.loss("challenger")
    before, after = (float(loss.mean()) for loss in losses)
    # As with accuracy, one picture may be lost: from certain to one in ten.
    allowed = before + max(rules.max_log_loss_rise, before / 10, -math.log(0.1) / len(losses[0]))
    return Check(
        name="log loss on unselected pictures",
        passed=after <= allowed,
        finding=f"{after:.4f} after {before:.4f}, at most {allowed:.4f} is allowed",
    )


def judge_slices(slices: tuple[Slice, ...], gains: Gains, masks: Mapping[str, Mask], rules: Rules) -> Check:
    """No kind of picture that is large enough may lose more than the rest."""
    judged = [each for each in slices if each.judged and each.difference is not None]
    bad = [each for each in judged if -(each.difference or 0.0) > _slice_allowed(gains[masks[each.name]], rules)]
    told = ", ".join(f"{each.name} {points(each.difference or 0.0)} of {each.n}" for each in bad)
    return Check(
        name="slices",
        passed=not bad,
        finding=f"{told or f'none of {len(judged)}'} loses more than {points(rules.max_slice_loss)}",
    )


def _slice_allowed(gains: Gains, rules: Rules) -> float:
    """If as many pictures changed either way at random, this much would be lost in one of twenty slices."""
    return max(rules.max_slice_loss, chance_loss(gains) / len(gains)) + 1e-9


def judge_ece(unselected: Outputs, rules: Rules) -> Check:
    """Calibration on unselected pictures."""
    before, after = (ece(each, unselected.labels) for each in (unselected.champion, unselected.challenger))
    rise = max(rules.max_ece_rise, 0.5 / math.sqrt(len(unselected)))
    allowed = max(rules.max_ece, before + rise)
    return Check(
        name="calibration",
        passed=after <= allowed,
        finding=f"expected calibration error {after:.2%} after {before:.2%}, at most {allowed:.2%} is allowed",
    )


def judge_latency(latency: Latency, rules: Rules) -> Check:
    """Time for a picture."""
    allowed = latency.champion_ms * rules.max_slowdown + rules.latency_slack_ms
    return Check(
        name="latency",
        passed=latency.challenger_ms <= allowed,
        finding=f"{latency.challenger_ms:.1f} ms after {latency.champion_ms:.1f} ms, at most {allowed:.1f} is allowed",
    )


def judge_rejection(rejection: Rejection | None, rules: Rules) -> tuple[Check, ...]:
    """What the rule for "neither" turns away, where the models have one.

    Not many more pictures of the labels, and not many fewer of those that people called `neither`.
    """
    if rejection is None:
        return ()
    kept, n = rejection.test.champion.astype(np.int64) - rejection.test.challenger, len(rejection.test)
    before, after = int(rejection.test.champion.sum()), int(rejection.test.challenger.sum())
    allowed = before + max(math.floor(rules.max_turned_away_rise * n), 1, chance_loss(kept))
    finding = f"{after / n:.2%} after {before / n:.2%}, at most {allowed / n:.2%} is allowed"
    checks = [Check(name='test pictures turned away as "neither"', passed=after <= allowed, finding=finding)]
    said = [np.stack([each.champion, each.challenger]) for each in (rejection.neither, rejection.known)]
    was, now = np.concatenate(said, axis=1).astype(np.int64)
    if len(was):
        least = int(was.sum()) - max(1, chance_loss(now - was))
        finding = f"of {len(was)} {now.sum()} are turned away after {was.sum()}, at least {least} are asked"
        checks.append(Check(name="answers `neither`", passed=int(now.sum()) >= least, finding=finding))
    return tuple(checks)


def slice_of(name: str, mask: Mask, test: Outputs, rules: Rules) -> Slice:
    """How one kind of picture fared."""
    n, gains = int(mask.sum()), test.gains("champion")[mask]
    return Slice(
        name=name,
        n=n,
        difference=float(gains.mean()) if n else None,
        judged=n >= rules.slice_size,
        accuracy=float(test.right("challenger")[mask].mean()) if n else None,
    )

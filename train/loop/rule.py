"""The rule that says "neither", from one model to the next.

It learns from accepted pictures of other things, and from those that people name although it turned them away.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from catdog.model.metadata import ONNX_FILE, load_metadata
from train.ood.branch import Head, branch_of, head_of
from train.ood.head import fit_head, fit_threshold
from train.ood.rejection import Rule, ease_of

REFIT_STRENGTH = 0.1
_STILL_TURNED_AWAY = 0.1
"""Of answered pictures that show a label, so many may be turned away."""
_SHIFT_STRENGTH = 0.1
"""Of the pull towards the head as it was, per standard deviation of each feature."""
_SHIFTS = 4
_LEAST_ALONG = 0.1
"""A picture that hardly lies along the move would ask for a far larger one."""
_log = logging.getLogger(__name__)

Features = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Bound:
    """A head and its threshold."""

    head: Head
    max_score: float

    def rejects(self, features: Features) -> npt.NDArray[np.bool_]:
        """Shape (n,), from features of shape (n, features)."""
        return self.head.score(features) > self.max_score


@dataclass(frozen=True, slots=True)
class RuleLearner:
    """The base's rule, and the features of what it is fitted to.

    The pictures that it was first fitted to are not there any more, so it is pulled towards what it was: one that it
    rejects already moves nothing, and the others move it no further than they must.
    """

    rule: Rule
    own: Features
    """Shape (n, features), of views of the labels' own training pictures."""
    validation: Features
    """Of the labels' own validation pictures: they set the threshold."""
    neither: Features
    """Shape (m, views, features), of answers that say `neither`; the last ones are known to the base."""
    new: int
    """How many of these the base has not learned."""
    answered: Features
    """Shape (k, views, features), of answers that name a label; the first view is as served."""

    @property
    def base(self) -> Bound:
        """The rule as it was."""
        return base_bound(self.rule)

    def learn(
        self, without: npt.NDArray[np.bool_] | None = None, without_answered: npt.NDArray[np.bool_] | None = None
    ) -> Bound:
        """Fit it to all answers, or without some of the new ones that say `neither`, or of those that name a label."""
        kept = np.ones(len(self.neither), dtype=np.bool_)
        if without is not None:
            kept[: self.new] = ~without
        answered = self.answered if without_answered is None else self.answered[~without_answered]
        bound = self._turning_away(self.neither[kept], answered) if self.new and kept.any() else self.base
        return self._letting_through(bound, answered)

    def _turning_away(self, neither: Features, answered: Features) -> Bound:
        own, others = (np.concatenate([self.own, _flat(answered)]), _flat(neither))
        head = fit_head(own, others, strength=REFIT_STRENGTH, ease=self._ease, start=self.rule.head)
        return self._bound(head)

    def _letting_through(self, bound: Bound, answered: Features) -> Bound:
        for _ in range(_SHIFTS):
            if not turns_away_many(bound.rejects(answered[:, 0])):
                break
            # The threshold follows the scores of the labels' own pictures, so once may not be enough.
            bound = self._bound(let_through(bound, answered, self.own, ease=self._ease))
        return bound

    def _bound(self, head: Head) -> Bound:
        return Bound(head, fit_threshold(head.score(self.validation)))

    @property
    def _ease(self) -> npt.NDArray[np.float64]:
        return ease_of(len(self.rule.head.weight), odds=self.rule.record.get("odds", False))

    def next(self) -> Rule:
        """The rule of the next model."""
        bound, named = self.learn(), self.base.rejects(self.answered[:, 0])
        new = self.new + (int(named.sum()) if turns_away_many(named) else 0)
        learned = self.rule.metrics.get("refitted_with", 0) + new
        metrics = {**self.rule.metrics, "refitted_with": learned}
        return replace(self.rule, head=bound.head, max_score=bound.max_score, metrics=metrics)


def base_bound(rule: Rule) -> Bound:
    """A rule's head and threshold."""
    return Bound(rule.head, rule.max_score)


def turns_away_many(turned_away: npt.NDArray[np.bool_]) -> bool:
    """Whether more of the answered pictures that show a label, shape (k,), are turned away than may be."""
    return bool(turned_away.sum() > _STILL_TURNED_AWAY * len(turned_away))


def let_through(
    bound: Bound, answered: Features, own: Features, *, ease: npt.NDArray[np.float64] | float = 1.0
) -> Head:
    """Move a head until a tenth of the pictures that people named stay above the threshold.

    There are no pictures of other things to learn from, so the head keeps what it knows about them: their scores move
    only as far as they look like these pictures. Of all changes that move the mean score of these by as much, it is
    the one that changes least the scores of the labels' own pictures, and what tells these from one another (least
    squares).

    Args:
        bound: The head, and the threshold that it has.
        answered: Shape (k, views, features), k at least 1; the first view is as served.
        own: Shape (n, features), of the labels' own training pictures.
        ease: Of each feature: how much the head may lean on it; see `fit_head`.
    """
    scale = np.maximum(own.std(axis=0), 1e-6).astype(np.float64) / ease
    old, named = _with_one(own / scale), _with_one(_flat(answered) / scale)
    mean = named.mean(axis=0)
    changed = old.T @ old / len(old) + np.cov(named, rowvar=False, bias=True) + _SHIFT_STRENGTH * np.eye(len(mean))
    direction = np.linalg.solve(changed, mean)
    served = answered[:, 0]
    along = np.maximum(_with_one(served / scale) @ direction, _LEAST_ALONG)  # 1 on average
    needed = (bound.head.score(served) - bound.max_score) / along
    shift = max(0.0, float(np.quantile(needed, 1 - _STILL_TURNED_AWAY))) * direction
    weight = bound.head.weight - (shift[:-1] / scale).astype(np.float32)
    return Head(weight, bound.head.bias - float(shift[-1]))


def _flat(views: Features) -> Features:
    return views.reshape(-1, views.shape[-1])


def _with_one(features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)


def rule_of(folder: Path) -> Rule | None:
    """The rule of a model folder; None if it has none.

    Raises:
        ModelError: the rule is of an older kind.
    """
    metadata, model = load_metadata(folder), onnx.load(folder / ONNX_FILE)
    branch = branch_of(model)
    if metadata.verdict.neither is None or branch is None:
        return None
    return Rule(
        branch=branch,
        head=head_of(model),
        max_score=metadata.verdict.neither.max_score,
        metrics=metadata.metrics.get("neither", {}),
        record=metadata.training.get("neither", {}),
    )

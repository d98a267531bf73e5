"""The rule that says "neither", from one model to the next: it learns from accepted pictures of other things."""

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

    @property
    def base(self) -> Bound:
        """The rule as it was."""
        return Bound(self.rule.head, self.rule.max_score)

    def learn(self, without: npt.NDArray[np.bool_] | None = None) -> Bound:
        """Fit it to all answers that say `neither`, or without some of the new ones."""
        kept = np.ones(len(self.neither), dtype=np.bool_)
        if without is not None:
            kept[: self.new] = ~without
        if not kept.any():
            return self.base
        others = self.neither[kept].reshape(-1, self.neither.shape[-1])
        ease = ease_of(len(self.rule.head.weight), odds=self.rule.record.get("odds", False))
        head = fit_head(self.own, others, strength=REFIT_STRENGTH, ease=ease, start=self.rule.head)
        return Bound(head, fit_threshold(head.score(self.validation)))

    def next(self) -> Rule:
        """The rule of the next model."""
        if not self.new:
            return self.rule
        bound = self.learn()
        metrics = {**self.rule.metrics, "refitted_with": self.rule.metrics.get("refitted_with", 0) + self.new}
        return replace(self.rule, head=bound.head, max_score=bound.max_score, metrics=metrics)


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

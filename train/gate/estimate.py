"""By how much a challenger's log loss is lower than another model's, for pictures as they come.

People report mistakes far more often than what is right, so answers say how models fare on mistakes, and how frequent
these are is told by unselected pictures.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax  # type: ignore[import-untyped]

from train.evaluation.slices import Mask
from train.gate.evidence import Evidence, Outputs, joined
from train.metrics import Floats, Labels

_TINY = 1e-12
_MOST_STEPS = 30
_CONVERGED = 1e-9


@dataclass(frozen=True, slots=True)
class Estimate:
    """Answers and kept pictures, n in all, weighted as they are frequent among unselected pictures."""

    outputs: Outputs
    weights: Floats
    """Shape (n,): their sum is 1."""
    groups: Labels
    """Shape (n,): near-duplicates share a number."""

    @staticmethod
    def of(evidence: Evidence) -> "Estimate":
        """Pictures form strata by their label and by whether the champion has them right.

        Mistakes are those that people reported, and those of the kept pictures only for a label that nobody reported;
        what is right are confirmed answers and kept pictures. In a stratum each group of near-duplicates weighs the
        same.
        """
        answers, kept = evidence.answers, evidence.kept
        outputs = joined(answers.outputs, kept)
        groups = np.concatenate([answers.groups, answers.groups.max(initial=-1) + 1 + np.arange(len(kept))])
        answered, weights = np.arange(len(outputs)) < len(answers), np.zeros(len(outputs))
        for label, shares in enumerate(_frequencies(evidence)):
            for is_right, share in zip((False, True), shares, strict=True):
                there = _stratum(outputs, label, is_right)
                if not is_right and (there & answered).any():
                    there &= answered
                _, group, sizes = np.unique(groups[there], return_inverse=True, return_counts=True)
                weights[there] = share / (len(sizes) * sizes[group])
        return Estimate(outputs, weights / weights.sum(), groups)

    def leads(self, over: Floats) -> Floats:
        """By how much another model's log loss, shape (n,), exceeds the challenger's: a value per group."""
        _, group = np.unique(self.groups, return_inverse=True)
        lead: Floats = self.weights * (over - self.outputs.loss("challenger"))
        return np.bincount(group, weights=lead).astype(np.float64)

    def loss(self, model: str) -> Floats:
        """Shape (n,): log loss of a model in nats."""
        return self.outputs.loss(model)

    def leaning_loss(self, model: str) -> Floats:
        """The same if it leaned to each label as much as serves it best."""
        probabilities, labels = getattr(self.outputs, model), self.outputs.labels
        leaning = lean(probabilities, labels, self.weights)[np.arange(len(labels)), labels]
        return -np.log(np.maximum(leaning, _TINY))


def lean(probabilities: Floats, labels: Labels, weights: Floats) -> Floats:
    """Probabilities that lean to each label as much as lowers their log loss most: logits plus one number per label.

    By Newton's method, the last label's number is 0.

    Args:
        probabilities: Shape (n, labels).
        labels: Shape (n,), the true ones.
        weights: Shape (n,); their sum is 1.

    Returns:
        Shape (n, labels).
    """
    logits, truth = np.log(np.maximum(probabilities, _TINY)), np.eye(probabilities.shape[1])[labels]
    added = np.zeros(probabilities.shape[1])
    for _ in range(_MOST_STEPS):
        now = softmax(logits + added, axis=1)
        slope = weights @ (now - truth)
        curvature = np.diag(weights @ now) - (now * weights[:, None]).T @ now
        step = np.linalg.solve(curvature[:-1, :-1] + _CONVERGED * np.eye(len(added) - 1), slope[:-1])
        added[:-1] -= np.clip(step, -1, 1)
        if np.abs(step).max() < _CONVERGED:
            break
    leaning: Floats = softmax(logits + added, axis=1)
    return leaning


def _frequencies(evidence: Evidence) -> Floats:
    """How frequent pictures of a label are that the champion has wrong, or right: shape (labels, 2); their sum is 1.

    Of mistakes there are as many as among unselected pictures, and of each label what share people report: a kind of
    picture has mistakes of its own.
    """
    unselected, answers = evidence.unselected, evidence.answers
    labels = range(unselected.champion.shape[1])
    counts = 0.5 + np.array([[_stratum(unselected, label, right).sum() for right in (False, True)] for label in labels])
    wrong = [len(np.unique(answers.groups[_stratum(answers.outputs, label, False)])) for label in labels]
    reported = 0.5 + np.array(wrong)
    counts[:, 0] = counts[:, 0].sum() * reported / reported.sum()
    frequencies: Floats = counts / counts.sum()
    return frequencies


def _stratum(outputs: Outputs, label: int, is_right: bool) -> Mask:
    mask: Mask = (outputs.labels == label) & (outputs.right("champion") == is_right)
    return mask

"""By how much a challenger's log loss is lower than another model's, for pictures as they come.

People report mistakes far more often than what is right, so answers say how models fare on mistakes, and how frequent
these are is told by unselected pictures.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.special import log_softmax  # type: ignore[import-untyped]

from train.evaluation.slices import Mask
from train.gate.evidence import Evidence, Outputs, joined
from train.metrics import Floats, Labels

_TINY = 1e-12
_SCALES, _BIASES = (0.02, 50.0), (-30.0, 30.0)
"""Of logits, and added to them."""


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

    def lead(self, over: str, *, recalibrated: bool = False) -> Floats:
        """By how much another model's log loss exceeds the challenger's: a value per group, the lead is their sum.

        Args:
            over: `twin` or `champion`.
            recalibrated: Both models are as certain, and lean to each label, as serves them best.
        """
        theirs, ours = (self._loss(model, recalibrated=recalibrated) for model in (over, "challenger"))
        _, group = np.unique(self.groups, return_inverse=True)
        lead: Floats = np.bincount(group, weights=self.weights * (theirs - ours)).astype(np.float64)
        return lead

    def _loss(self, model: str, *, recalibrated: bool) -> Floats:
        if not recalibrated:
            return self.outputs.loss(model)
        return recalibrated_loss(getattr(self.outputs, model), self.outputs.labels, self.weights)


def recalibrated_loss(probabilities: Floats, labels: Labels, weights: Floats) -> Floats:
    """Log loss with the temperature, and with what is added to each label's logit, that make it lowest.

    Bias-corrected temperature scaling (Alexandari et al. 2020, "Maximum Likelihood with Bias-Corrected Calibration is
    Hard-To-Beat at Label Shift Adaptation", arXiv:1901.06852), fitted to the pictures that it is measured by.

    Args:
        probabilities: Shape (n, labels).
        labels: Shape (n,), the true ones.
        weights: Shape (n,); their sum is 1.

    Returns:
        Shape (n,), in nats.
    """
    logits, (n, count) = np.log(np.maximum(probabilities, _TINY)), probabilities.shape
    truth = np.eye(count)[labels]

    def log_probabilities(parameters: Floats) -> Floats:
        said: Floats = log_softmax(parameters[0] * logits + parameters[1:], axis=1)
        return said

    def cost(parameters: Floats) -> tuple[float, Floats]:
        said = log_probabilities(parameters)
        slopes = weights[:, None] * (np.exp(said) - truth)
        return -float(weights @ said[np.arange(n), labels]), np.r_[(slopes * logits).sum(), slopes.sum(axis=0)]

    start = np.r_[1.0, np.zeros(count)]
    found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=[_SCALES, *[_BIASES] * count])
    return -log_probabilities(found.x)[np.arange(n), labels]


def _frequencies(evidence: Evidence) -> Floats:
    """How frequent pictures of a label are that the champion has wrong, or right: shape (labels, 2); their sum is 1.

    Of mistakes there are as many as among unselected pictures, and of each label what share people report: a kind of
    picture has mistakes of its own.
    """
    unselected, answers = evidence.unselected, evidence.answers
    labels = range(unselected.champion.shape[1])
    counts = 0.5 + np.array([[_stratum(unselected, label, right).sum() for right in (False, True)] for label in labels])
    wrong = [len(np.unique(answers.groups[_stratum(answers.outputs, label, False)])) for label in labels]
    reported = np.array(wrong) + 0.5 / len(labels)
    counts[:, 0] = counts[:, 0].sum() * reported / reported.sum()
    frequencies: Floats = counts / counts.sum()
    return frequencies


def _stratum(outputs: Outputs, label: int, is_right: bool) -> Mask:
    mask: Mask = (outputs.labels == label) & (outputs.right("champion") == is_right)
    return mask

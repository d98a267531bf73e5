"""What single numbers hide: calibration by confidence, error by coverage, and the ROC curve."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_curve

from train.metrics import ECE_BINS, Floats, Interval, Labels, wilson


@dataclass(frozen=True, slots=True)
class Bin:
    """Pictures of about one confidence."""

    n: int
    confidence: float
    """Mean probability of the top label."""
    accuracy: float
    interval: Interval
    """95%, Wilson's."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What happens if the least confident pictures are left to a person."""

    coverage: list[float]
    """Shares of the pictures that are answered, from few to all."""
    risk: list[float]
    """The share of wrong answers among these."""
    area: float
    """Under the curve (Geifman and El-Yaniv 2017, arXiv:1705.08500); smaller is better."""


@dataclass(frozen=True, slots=True)
class Roc:
    """One label against the rest."""

    label: str
    false_positives: list[float]
    true_positives: list[float]


def reliability(probabilities: Floats, labels: Labels) -> list[Bin]:
    """The 15 bins of equal mass that the expected calibration error is made of; fewer if there are fewer pictures."""
    confidence, right = _top(probabilities, labels)
    bins = np.array_split(np.argsort(confidence, kind="stable"), ECE_BINS)
    return [
        Bin(
            n=len(each),
            confidence=float(confidence[each].mean()),
            accuracy=float(right[each].mean()),
            interval=wilson(int(right[each].sum()), len(each)),
        )
        for each in bins
        if len(each)
    ]


def risk_coverage(probabilities: Floats, labels: Labels) -> Coverage:
    """Error rate of the answers against the share that is answered, most confident first."""
    confidence, right = _top(probabilities, labels)
    order = np.argsort(-confidence, kind="stable")
    count = np.arange(1, len(order) + 1)
    risk = np.cumsum(~right[order]) / count
    return Coverage((count / len(order)).tolist(), risk.tolist(), float(risk.mean()))


def roc(probabilities: Floats, labels: Labels, names: Sequence[str]) -> list[Roc]:
    """Of two labels the second's curve, of more each label's against the rest; labels that are absent have none."""
    wanted = [1] if len(names) == 2 else range(len(names))  # noqa: PLR2004
    curves = []
    for label in wanted:
        positive = labels == label
        if positive.any() and not positive.all():
            false, true, _ = roc_curve(positive, probabilities[:, label])
            curves.append(Roc(names[label], false.tolist(), true.tolist()))
    return curves


def _top(probabilities: Floats, labels: Labels) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Confidence of the top label, and whether it is right."""
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == labels

"""How good probabilities are, with 95% intervals."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata  # type: ignore[import-untyped]

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Interval = tuple[float, float]

ECE_BINS = 15
_RESAMPLES = 1000
_Z = 1.959964  # of 95%
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Metrics:
    """Of n pictures; shares in [0, 1]."""

    n: int
    accuracy: float
    auc: float | None
    """Area under the ROC curve, of the second label or averaged one against the rest; None if a label is absent."""
    log_loss: float
    """In nats."""
    ece: float
    """Expected calibration error of the top label, 15 bins of equal mass."""
    confusion_matrix: list[list[int]]
    """Rows are true labels, columns are predicted ones."""
    intervals: dict[str, Interval]
    """95%: Wilson's for accuracy, bootstrap for the others."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def score(probabilities: Floats, labels: Labels, *, seed: int = 0) -> Metrics:
    """All metrics of `probabilities` (n, labels) against true `labels` (n,); n is at least 1."""
    right = probabilities.argmax(axis=1) == labels
    return Metrics(
        n=len(labels),
        accuracy=float(right.mean()),
        auc=auc(probabilities, labels),
        log_loss=log_loss(probabilities, labels),
        ece=ece(probabilities, labels),
        confusion_matrix=confusion_matrix(probabilities, labels),
        intervals={"accuracy": wilson(int(right.sum()), len(right)), **_bootstrap(probabilities, labels, seed)},
    )


def auc(probabilities: Floats, labels: Labels) -> float | None:
    """Area under the ROC curve; None where a label is absent."""
    classes = probabilities.shape[1]
    if len(np.unique(labels)) < classes:
        return None
    if classes == 2:  # noqa: PLR2004
        return _area(probabilities[:, 1], labels == 1)
    return float(np.mean([_area(probabilities[:, label], labels == label) for label in range(classes)]))


def log_loss(probabilities: Floats, labels: Labels) -> float:
    """Mean of minus the logarithm of the true label's probability."""
    return (
        float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], _TINY)).mean()) + 0.0
    )  # never minus zero


def ece(probabilities: Floats, labels: Labels) -> float:
    """Expected calibration error of the top label (Nguyen and O'Connor's equal-mass bins)."""
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    bins = np.array_split(np.argsort(confidence, kind="stable"), ECE_BINS)
    gaps = [len(each) * abs(confidence[each].mean() - right[each].mean()) for each in bins if len(each)]
    return float(sum(gaps) / len(labels))


def confusion_matrix(probabilities: Floats, labels: Labels) -> list[list[int]]:
    """Rows are true labels, columns are predicted ones."""
    classes = probabilities.shape[1]
    cells = np.bincount(labels * classes + probabilities.argmax(axis=1), minlength=classes * classes)
    return [[int(cell) for cell in row] for row in cells.reshape(classes, classes)]


def wilson(hits: int, n: int) -> Interval:
    """Wilson's 95% interval of a share."""
    share, z2 = hits / n, _Z**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def _area(scores: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """How often a positive one scores higher than a negative one (Mann and Whitney); ties count half."""
    n = int(positive.sum())
    return float((rankdata(scores)[positive].sum() - n * (n + 1) / 2) / (n * (len(scores) - n)))


def _bootstrap(probabilities: Floats, labels: Labels, seed: int) -> dict[str, Interval]:
    generator = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {"auc": [], "log_loss": [], "ece": []}
    for _ in range(_RESAMPLES):
        rows = generator.integers(0, len(labels), len(labels))
        p, y = probabilities[rows], labels[rows]
        draws["log_loss"].append(log_loss(p, y))
        draws["ece"].append(ece(p, y))
        if (value := auc(p, y)) is not None:
            draws["auc"].append(value)
    intervals = {name: middle(values) for name, values in draws.items() if values}
    # Resampling adds noise, which this error counts as its own: its interval lies too high, never too low.
    intervals["ece"] = (min(intervals["ece"][0], ece(probabilities, labels)), intervals["ece"][1])
    return intervals


def middle(values: list[float]) -> Interval:
    """The middle 95% of resampled values."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)

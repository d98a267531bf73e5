"""Probabilities that mean what they say: the temperature, and the confidence below which the app says "unsure"."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

from catdog.model.model import softmax
from train.metrics import Floats, Labels, log_loss

UNSURE_ERROR_RATE = 1 / 3
_MIN_ANSWERS = 8
_RANGE = (0.05, 20.0)


def fit_temperature(logits: npt.NDArray[np.float32], labels: Labels) -> float:
    """The temperature that minimises the log loss of `logits / temperature` (Guo et al. 2017, arXiv:1706.04599).

    Args:
        logits: Shape (n, labels), of pictures that the network was not trained on.
        labels: Shape (n,), the true labels.
    """
    low, high = np.log(_RANGE)
    found = minimize_scalar(
        lambda log_t: log_loss(softmax(logits / np.float32(np.exp(log_t))), labels),
        bounds=(float(low), float(high)),
        method="bounded",
    )
    return float(np.exp(found.x))


def fit_unsure(probabilities: Floats, labels: Labels, *, error_rate: float = UNSURE_ERROR_RATE) -> float | None:
    """The largest confidence below which at least `error_rate` of the answers are wrong; None if there is none.

    Fewer than 8 answers say too little about a rate, so a threshold turns away at least that many.
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(confidence, kind="stable")
    wrong = np.cumsum(probabilities.argmax(axis=1)[order] != labels[order])
    count = np.arange(1, len(order) + 1)
    good = np.flatnonzero((wrong / count >= error_rate) & (count >= _MIN_ANSWERS) & (count < len(order)))
    if not len(good):
        return None
    last = int(good[-1])
    return float((confidence[order[last]] + confidence[order[last + 1]]) / 2)

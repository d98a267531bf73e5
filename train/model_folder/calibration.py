"""Probabilities that mean what they say: the temperature, and the confidence below which the app says "unsure"."""

import logging

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

from catdog.model.model import softmax
from train.metrics import Floats, Labels, log_loss

UNSURE_ERROR_RATE = 1 / 3
FEW_ERRORS = 5
"""With fewer errors a set tells little about how sure the network may be."""
_MIN_ANSWERS = 8
_SPREAD = 0.5
"""Standard deviation of the prior on the temperature's logarithm; a hundred errors outweigh it."""
_LARGEST = 20.0
_log = logging.getLogger(__name__)


def fit_temperature(logits: npt.NDArray[np.float32], labels: Labels) -> float:
    """The temperature that makes `logits / temperature` most likely (Guo et al. 2017, arXiv:1706.04599).

    Where every answer is right, likelihood alone asks for a temperature of zero: certainty, learned from nothing. So a
    prior holds the temperature near 1, and the fewer errors there are, the less it may sharpen: not at all without any.

    Args:
        logits: Shape (n, labels), of pictures that the network was not trained on.
        labels: Shape (n,), the true labels.
    """
    errors = int((logits.argmax(axis=1) != labels).sum())
    if errors < FEW_ERRORS:
        _log.warning(
            "%d validation pictures with %d errors are too few to calibrate by: the probabilities stay about as the "
            "network gives them", len(labels), errors,
        )  # fmt: skip

    def cost(log_t: float) -> float:
        return len(labels) * log_loss(softmax(logits / np.float32(np.exp(log_t))), labels) + (log_t / _SPREAD) ** 2 / 2

    bounds = (-float(np.log1p(errors)), float(np.log(_LARGEST)))
    return float(np.exp(minimize_scalar(cost, bounds=bounds, method="bounded").x)) if bounds[0] < bounds[1] else 1.0


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

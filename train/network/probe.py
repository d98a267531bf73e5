"""A linear head on the frozen network: minutes of work, and the start of every fine-tuning."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from catdog.model.model import softmax
from train.metrics import Labels, log_loss
from train.network.create import classifier

Features = npt.NDArray[np.float32]
_STRENGTHS = (0.0003, 0.003, 0.03)
_ITERATIONS = 300
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear classifier."""

    weight: Features
    """Shape (labels, width)."""
    bias: Features
    """Shape (labels,)."""
    strength: float
    """The inverse regularisation `C` that it was fitted with."""
    log_loss: float
    """On validation."""

    def logits(self, features: Features) -> Features:
        """From (n, width) to (n, labels)."""
        logits: Features = features @ self.weight.T + self.bias
        return logits


def fit_head(
    network: nn.Module,
    train: tuple[Features, Labels],
    validation: tuple[Features, Labels],
    *,
    balanced: bool = False,
) -> dict[str, float]:
    """Fit the last layer; see `fit_linear`.

    Args:
        network: Its last layer is overwritten.
        train: Features (n, width) before the last layer, and labels (n,); every label occurs.
        validation: The same, of other pictures.
        balanced: Every label counts the same, however many pictures it has.

    Returns:
        The chosen inverse strength `C`, and its validation log loss.
    """
    linear = fit_linear(train, validation, balanced=balanced)
    _set(classifier(network), linear.weight, linear.bias)
    return {"C": linear.strength, "log_loss": linear.log_loss}


def fit_linear(
    train: tuple[Features, Labels],
    validation: tuple[Features, Labels],
    *,
    strengths: Sequence[float] = _STRENGTHS,
    balanced: bool = False,
) -> Linear:
    """Logistic regression; the regularisation is the one with the lowest validation log loss."""
    scaler = StandardScaler().fit(train[0])
    scaled = scaler.transform(train[0])
    weights = "balanced" if balanced else None
    fitted = []
    for strength in strengths:
        model = LogisticRegression(C=strength, max_iter=_ITERATIONS, class_weight=weights).fit(scaled, train[1])
        weight, bias = _unscaled(model, scaler)
        loss = log_loss(softmax(validation[0] @ weight.T + bias), validation[1])
        _log.info("linear head, C %g: validation log loss %.4f", strength, loss)
        fitted.append(Linear(weight, bias, strength, loss))
    return min(fitted, key=lambda each: each.log_loss)


def _unscaled(model: LogisticRegression, scaler: StandardScaler) -> tuple[Features, Features]:
    """Weights (labels, width) and bias (labels,) for features as they are; two labels get opposite halves."""
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / scaler.scale_
    bias = bias - weight @ scaler.mean_
    return weight.astype(np.float32), bias.astype(np.float32)


def _set(head: nn.Linear, weight: Features, bias: Features) -> None:
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias))

"""A linear head on the frozen network: minutes of work, and the start of every fine-tuning."""

import logging

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from catdog.model import softmax
from train.metrics import Labels, log_loss
from train.network import classifier

Features = npt.NDArray[np.float32]
_STRENGTHS = (0.0003, 0.003, 0.03)
_ITERATIONS = 300
_log = logging.getLogger(__name__)


def fit_head(
    network: nn.Module, train: tuple[Features, Labels], validation: tuple[Features, Labels]
) -> dict[str, float]:
    """Fit the last layer by logistic regression; the regularisation is the one with the lowest validation log loss.

    Args:
        network: Its last layer is overwritten.
        train: Features (n, width) before the last layer, and labels (n,); every label occurs.
        validation: The same, of other pictures.

    Returns:
        The chosen inverse strength `C`, and its validation log loss.
    """
    scaler = StandardScaler().fit(train[0])
    scaled = scaler.transform(train[0])
    best: dict[str, float] = {}
    for strength in _STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=_ITERATIONS).fit(scaled, train[1])
        weight, bias = _unscaled(model, scaler)
        loss = log_loss(softmax(validation[0] @ weight.T + bias), validation[1])
        _log.info("linear head, C %g: validation log loss %.4f", strength, loss)
        if not best or loss < best["log_loss"]:
            best = {"C": strength, "log_loss": loss}
            _set(classifier(network), weight, bias)
    return best


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

import numpy as np
import pytest

from catdog.model.model import softmax
from train.model_folder.calibration import fit_temperature, fit_unsure


def test_the_temperature_of_distorted_logits_is_found() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (20_000, 3)).astype(np.float32)
    labels = np.array([generator.choice(3, p=row) for row in softmax(logits)])
    assert fit_temperature(logits * 2.5, labels) == pytest.approx(2.5, rel=0.05)


def test_unsure_is_where_the_stated_share_is_wrong() -> None:
    confidence = np.linspace(0.5, 1.0, 1000)
    wrong = np.zeros(1000, dtype=bool)
    wrong[:100:2] = True  # every second answer below 0.55
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    threshold = fit_unsure(probabilities, wrong.astype(np.int64), error_rate=0.25)
    assert threshold is not None
    below = confidence < threshold
    assert wrong[below].mean() >= 0.25
    assert below.sum() == pytest.approx(200, abs=2)


def test_a_model_that_is_never_wrong_is_never_unsure() -> None:
    probabilities = np.tile([[0.9, 0.1]], (50, 1))
    assert fit_unsure(probabilities, np.zeros(50, dtype=np.int64)) is None

import json

import numpy as np
import pytest

from train.metrics import ece, score, wilson


def binary(dog: list[float]) -> np.ndarray:
    return np.stack([1 - np.array(dog), np.array(dog)], axis=1)


def test_metrics_of_a_known_case() -> None:
    metrics = score(binary([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
    assert metrics.n == 4
    assert metrics.accuracy == 0.75
    assert metrics.auc == 0.75
    assert metrics.log_loss == pytest.approx(-np.log([0.9, 0.6, 0.35, 0.8]).mean())
    assert metrics.confusion_matrix == [[2, 0], [1, 1]]


def test_intervals_hold_their_values() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 400)
    metrics = score(binary(np.clip(labels * 0.6 + generator.random(400) * 0.4, 0, 1).tolist()), labels)
    for name, (low, high) in metrics.intervals.items():
        assert low <= getattr(metrics, name) <= high


def test_wilsons_interval_is_the_textbooks() -> None:
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(2318, 2341) == pytest.approx((0.98530, 0.99344), abs=2e-4)


def test_auc_is_none_without_both_labels() -> None:
    metrics = score(binary([0.2, 0.3]), np.array([0, 0]))
    assert metrics.auc is None
    assert "auc" not in metrics.intervals


def test_auc_of_three_labels_is_averaged() -> None:
    probabilities = np.eye(3)[[0, 1, 2, 0, 1, 2]] * 0.7 + 0.1
    assert score(probabilities, np.array([0, 1, 2, 0, 1, 2])).auc == 1


def test_ece_is_the_gap_between_confidence_and_accuracy() -> None:
    labels = np.array([1] * 75 + [0] * 25)
    assert ece(binary([0.95] * 100), labels) == pytest.approx(0.2, abs=0.12)
    right = np.tile([1, 1, 1, 0], 300)
    assert ece(binary([0.75] * 1200), right) == pytest.approx(0, abs=1e-9)


def test_certainty_in_a_wrong_answer_costs_a_finite_loss() -> None:
    assert np.isfinite(score(binary([1.0]), np.array([0])).log_loss)


def test_metrics_are_plain_values() -> None:
    assert json.loads(json.dumps(score(binary([0.2, 0.7]), np.array([0, 1])).as_dict()))["n"] == 2

"""The simulation of the gate tells challengers that learned from those that did not."""

import numpy as np
import pytest

from benchmarks.gate.challengers import Refit, refits
from benchmarks.gate.rates import (
    false_acceptance,
    false_acceptance_in_a_year,
    false_acceptance_of_leaning,
    power,
    power_of_small_tests,
)
from benchmarks.gate.world import Pool


def pool(n: int, seed: int, *, sure: float, kind: int = 0) -> Pool:
    """Pictures about which a model is as right as it is sure."""
    generator = np.random.default_rng(seed)
    margin = sure * generator.normal(size=n)
    labels = (generator.random(n) < 1 / (1 + np.exp(-margin))).astype(np.int64)
    features = np.column_stack([margin / sure, generator.normal(size=(n, 5))])
    return Pool(np.column_stack([-margin, margin]) / 2, features, labels, np.full(n, kind))


@pytest.fixture(scope="module")
def kept() -> Pool:
    return pool(2000, 0, sure=20)


@pytest.fixture(scope="module")
def answered() -> Pool:
    parts = [pool(700, 1, sure=20), pool(700, 2, sure=5, kind=1), pool(700, 3, sure=5, kind=2)]
    return Pool(*(np.concatenate([getattr(part, name) for part in parts]) for name in Pool.__slots__))


@pytest.fixture(scope="module")
def heads() -> list[Refit]:
    return refits(pool(2000, 4, sure=20), np.random.default_rng(0), count=16)


def test_challengers_that_learned_nothing_are_refused(kept: Pool, answered: Pool, heads: list[Refit]) -> None:
    assert false_acceptance(kept, answered, heads, 1.0, 30) == 0
    assert false_acceptance_of_leaning(kept, answered, heads, 30) < 0.1
    assert false_acceptance_in_a_year(kept, answered, heads, 0.5, 2) == 0


def test_challengers_that_learned_are_accepted(kept: Pool, answered: Pool, heads: list[Refit]) -> None:
    assert power(kept, answered, heads, 12) > 0.6
    share, points = power_of_small_tests(answered, heads, 10, test_size=200)
    assert share > 0.5
    assert points == pytest.approx(3.9)

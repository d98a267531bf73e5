"""Challengers that learned nothing, and some that did; and the answers they are judged by."""

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.gate.world import Change, Floats, Ints, Pool
from catdog.model.model import softmax
from train.gate.evidence import Likeness, Rejection, TurnedAway

REFITS = 512
_REFIT_ROWS = 1500
_NEW_ROWS = 100
"""Of a sample, in which a challenger and its twin differ: as many as there are answers."""
_RIDGE = 30.0
_LEANS, _LESS_CERTAIN = (0.25, 0.5, 1.0, 2.0), (1.0, 1.3)
REMOVED = 0.3
_TURNED_AWAY = 0.8
"""Of the answered pictures, where the champion turns many away; the challenger gives as many of these a label."""


@dataclass(frozen=True, slots=True)
class Refit:
    """What another head, fitted on a sample of the pictures, adds to the logits: shape (features + 1, labels)."""

    weights: Floats
    sibling: Floats
    """Of one that was fitted on the same sample but for some of it."""


def refits(pool: Pool, rng: np.random.Generator, *, count: int = REFITS) -> list[Refit]:
    """Heads, each fitted on a sample of its own."""
    found = []
    for _ in range(count):
        rows = rng.choice(len(pool), min(_REFIT_ROWS, len(pool)), replace=True)
        changed = np.concatenate([rows[_NEW_ROWS:], rng.choice(len(pool), _NEW_ROWS, replace=True)])
        found.append(Refit(_refit(pool.take(rows)), _refit(pool.take(changed))))
    return found


def _refit(pool: Pool) -> Floats:
    """Multinomial logistic regression on top of the model's logits, ridge penalty; shape (features + 1, labels)."""
    x = np.column_stack([pool.features, np.ones(len(pool))])
    weights = np.zeros((x.shape[1], pool.logits.shape[1]))
    target = np.eye(pool.logits.shape[1])[pool.labels]
    inverse = np.linalg.inv(x.T @ x * 0.05 + _RIDGE * np.eye(x.shape[1]))
    for _ in range(30):
        gradient = x.T @ (target - softmax((pool.logits + x @ weights).astype(np.float32))) - _RIDGE * weights
        weights += inverse @ gradient
    return weights


def moved(weights: Floats, *, by: float = 1.0, less_certain: float = 1.0, leans: float = 0.0) -> Change:
    """A model that is another, but knows no more."""

    def change(pool: Pool) -> Floats:
        logits = pool.logits + by * (np.column_stack([pool.features, np.ones(len(pool))]) @ weights)
        logits[:, 0] += leans
        return logits / less_certain

    return change


def null_challengers(
    heads: list[Refit], rng: np.random.Generator, *, same_replay: bool = False
) -> tuple[Change, Change]:
    """A challenger that learned nothing, and its twin, which was fitted on mostly the same sample or on another."""
    one, other = (heads[each] for each in rng.choice(len(heads), 2, replace=False))
    disguises: tuple[dict[str, float], ...] = (
        {},
        {"by": 2.0},
        {"less_certain": float(rng.uniform(1.1, 1.8))},
        {"leans": float(rng.choice([-1, 1]) * rng.uniform(0.2, 0.8))},
    )
    twin = one.sibling if same_replay else other.weights
    return moved(one.weights, **disguises[rng.integers(len(disguises))]), moved(twin)


def leaning_challengers(
    heads: list[Refit], label: int, rng: np.random.Generator, *, same_replay: bool
) -> tuple[Change, Change]:
    """A challenger that learned nothing but to say one label more often, some of them less certain; and its twin."""
    one, other = (heads[each] for each in rng.choice(len(heads), 2, replace=False))
    leans = float(rng.choice(_LEANS)) * (1 if label == 0 else -1)
    less_certain = float(rng.choice(_LESS_CERTAIN))
    return moved(one.weights, leans=leans, less_certain=less_certain), moved(
        one.sibling if same_replay else other.weights
    )


def learned(change: Change, answered: Pool, rng: np.random.Generator) -> Change:
    """The same model, but with 30% of the mistakes among some pictures right, as sure as the model is of others."""
    chosen = ~answered.right & (rng.random(len(answered)) < REMOVED)
    right = answered.logits[answered.right]

    def better(pool: Pool) -> Floats:
        logits = change(pool)
        if pool is answered:
            for i in np.flatnonzero(chosen):
                other = np.sort(right[rng.integers(len(right))])[::-1]
                logits[i] = other[-1]
                logits[i, pool.labels[i]] = other[0]
        return logits

    return better


def draw(pool: Pool, n: int, corrections: float, rng: np.random.Generator) -> Ints:
    """Indices of n answers, a share of them corrections, each picture once."""
    wrong, right = (rng.permutation(np.flatnonzero(pool.right == is_right)) for is_right in (False, True))
    wanted = min(round(n * corrections), len(wrong))
    return np.concatenate([wrong[:wanted], right[: n - wanted if corrections < 1 else 0]])


def answers_from(pool: Pool, n: int, corrections: float, rng: np.random.Generator, *, tossed: bool = False) -> Pool:
    """In any order; with people's labels, or with tossed ones, of which no model can know more than half."""
    answers = pool.take(rng.permutation(draw(pool, n, corrections, rng)))
    return replace(answers, labels=rng.integers(0, pool.logits.shape[1], len(answers))) if tossed else answers


def all_wrong() -> Likeness:
    """The model has all such pictures wrong: the gate lets most confirmed answers be lost."""
    return Likeness(1000, 1000)


def with_repeats(pool: Pool, n: int, rng: np.random.Generator, corrections: float = 0.7) -> Ints:
    """Indices of n pictures, drawn with replacement: few kinds have 70 mistakes."""
    wrong, right = np.flatnonzero(~pool.right), np.flatnonzero(pool.right)
    wanted = round(n * corrections)
    return np.concatenate([rng.choice(wrong, wanted), rng.choice(right, n - wanted)])


def with_error_rate(pool: Pool, n: int, share: float, rng: np.random.Generator) -> Ints:
    return with_repeats(pool, n, rng, corrections=rng.binomial(n, share) / n)


def let_through(test: Pool, answers: int, rng: np.random.Generator) -> Rejection:
    """A rule that lets most of the answered pictures through which it turned away, and the test pictures as before."""
    none, before = TurnedAway(*np.zeros((2, 0), dtype=np.bool_)), rng.random(answers) < _TURNED_AWAY
    still = before & (rng.random(answers) >= _TURNED_AWAY)
    tested = np.zeros(len(test), dtype=np.bool_)
    return Rejection(neither=none, known=none, answers=TurnedAway(before, still), test=TurnedAway(tested, tested))

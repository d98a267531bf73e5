"""How sure one can be of a difference between two models: paired tests and bounds."""

import numpy as np
import numpy.typing as npt
from scipy import stats  # type: ignore[import-untyped]

from train.metrics import Floats

_RESAMPLES = 9999
_MOST_FLIPS = 20_000
_ENOUGH = 25
_FIRST_FLIPS = 100
_MOST_AT_ONCE = 2000
_FLIPPED = 256
_ONCE = 0.05

Gains = npt.NDArray[np.int64]


def sign_flip(differences: Floats, *, seed: int = 0) -> float:
    """One-sided paired permutation test: how likely so large a sum is if each difference could as well be negative.

    Random signs are drawn until 25 sums are as large, 20,000 at most (Besag and Clifford 1991, "Sequential Monte Carlo
    p-values"), so that a clear "no" takes a moment and the smallest p is 5e-5. Of many units the 256 largest are
    flipped; the sum of the others, thousands of small ones, is drawn from the normal distribution of their variance.

    Args:
        differences: Shape (n,): one for each independent unit, weights included; positive is better. Where one is
            not finite nothing is shown.
        seed: Of the signs.
    """
    if not np.isfinite(differences).all():
        return 1.0
    units = differences[differences != 0]
    units = units[np.argsort(-np.abs(units), kind="stable")].astype(np.float32)
    if not len(units):
        return 1.0
    largest, spread = units[:_FLIPPED], float(np.sqrt((units[_FLIPPED:].astype(np.float64) ** 2).sum()))
    generator = np.random.default_rng(seed)
    observed = float(units.sum()) * (1 - 1e-6)  # equal sums count as equal whatever the order of adding
    drawn = exceeding = 0
    while exceeding < _ENOUGH and drawn < _MOST_FLIPS:
        count = min(max(_FIRST_FLIPS, drawn), _MOST_AT_ONCE, _MOST_FLIPS - drawn)
        signs = generator.integers(0, 2, (count, len(largest)), dtype=np.int8).astype(np.float32)
        sums = (2 * signs - 1) @ largest
        if spread:
            sums = sums + spread * generator.standard_normal(count).astype(np.float32)
        exceeding += int((sums >= observed).sum())
        drawn += count
    return min(1.0, (exceeding + 1) / (drawn + 1))


def mean_by_group(values: Floats, groups: npt.NDArray[np.int64]) -> Floats:
    """The mean of each group of near-duplicates, ordered by group: copies of one picture count once."""
    _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    means: Floats = np.bincount(index, weights=values, minlength=len(counts)) / counts
    return means


def lower_bound(gains: Gains, *, seed: int) -> float:
    """The one-sided 95% lower bound of the mean gain: percentile bootstrap over pictures, so pairs stay paired.

    How many pictures of each gain a resample has is drawn at once, which is the same and takes no time.
    """
    n = len(gains)
    better, worse = int((gains > 0).sum()), int((gains < 0).sum())
    if better + worse == 0:
        return 0.0
    shares = np.array([better, worse, n - better - worse]) / n
    drawn = np.random.default_rng(seed).multinomial(n, shares, _RESAMPLES)
    return float(np.quantile((drawn[:, 0] - drawn[:, 1]) / n, 0.05))


def mcnemar(gains: Gains) -> float:
    """McNemar's exact test, one-sided: how likely so many gains among the changes are if changes are random."""
    better, worse = int((gains > 0).sum()), int((gains < 0).sum())
    if better + worse == 0:
        return 1.0
    return float(stats.binomtest(better, better + worse, 0.5, alternative="greater").pvalue)


def chance_loss(gains: Gains) -> int:
    """The most pictures that are lost at least once in twenty times if those that changed did so at random.

    By the binomial distribution: three of three are lost once in eight times, five of five hardly ever.
    """
    changed = int((gains != 0).sum())
    return max(0, 2 * at_most(changed, 0.5) - changed)


def at_most(n: int, rate: float) -> int:
    """How many of n events that have this probability happen, in all but one of twenty times."""
    return int(stats.binom.isf(_ONCE, n, rate))


def smallest_p(units: int) -> float:
    """The p that `sign_flip` gives if all of so many units improved: nothing can be shown with fewer."""
    return float(0.5**units)

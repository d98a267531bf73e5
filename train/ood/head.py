"""The rule that says "neither": a linear score on frozen features, its threshold, and how well both do on unseen kinds.

The head learns from examples of other things (outlier exposure, Hendrycks et al. 2019, arXiv:1812.04606). What it is
worth is measured on whole kinds that it has not seen, because users will show what no list contains.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.special import expit  # type: ignore[import-untyped]

from train.metrics import Interval, middle
from train.ood.branch import Head
from train.ood.views import Views

Features = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]

TURNED_AWAY = 0.015
"""Share of the labels' own pictures, of the validation split, that the threshold turns away."""
FOLDS = 5
NEAR_KINDS = (
    "ant", "antelope", "armadillo", "bear", "bee", "bird", "butterfly", "camel", "centipede", "dragonfly", "elephant",
    "fox", "frog", "giant_panda", "goldfish", "hamster", "hippopotamus", "horse", "isopod", "jellyfish", "koala_bear",
    "ladybug", "lion", "lizard", "lobster", "monkey", "otter", "porcupine", "rabbit", "ray", "red_panda", "scorpion",
    "seal", "sheep", "skunk", "snail", "snake", "squirrel", "starfish", "swine", "tick", "tiger", "turtle", "whale",
    "zebra",
)  # fmt: skip
"""Animals, by their names in ImageNet's detection task: reported apart, because most methods fail on them."""
METHOD = "logistic regression on features and odds of frozen late layers on the same trunk, with outlier exposure"

_RESAMPLES = 1000


def fit_head(
    own: Features,
    other: Features,
    *,
    strength: float,
    ease: npt.NDArray[np.float64] | float = 1.0,
    start: Head | None = None,
) -> Head:
    """Logistic regression of "other" against "own", both of equal weight in all.

    Args:
        own: Shape (n, features), of pictures of the labels.
        other: Shape (m, features), of other things.
        strength: Of the pull towards `start`, per standard deviation of each feature.
        ease: Of each feature, the pull is divided by its square.
        start: A head to stay near to; None is all zero.
    """
    scale = np.maximum(np.concatenate([own, other]).std(axis=0), 1e-6).astype(np.float64) / ease
    x = np.concatenate([own, other]).astype(np.float64) / scale
    y = np.concatenate([-np.ones(len(own)), np.ones(len(other))])
    share = np.where(y < 0, 0.5 / len(own), 0.5 / len(other))
    origin = np.zeros(x.shape[1]) if start is None else start.weight.astype(np.float64) * scale

    def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weight, bias = parameters[:-1], parameters[-1]
        margin = y * (x @ weight + bias)
        slope = -share * y * expit(-margin)
        away = weight - origin
        value = float(share @ np.logaddexp(0, -margin) + strength / 2 * away @ away)
        return value, np.append(x.T @ slope + strength * away, slope.sum())

    first = np.append(origin, 0.0 if start is None else start.bias)
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return Head((found[:-1] / scale).astype(np.float32), float(found[-1]))


def fit_threshold(own: Scores, *, turned_away: float = TURNED_AWAY) -> float:
    """The score above which just that share of the labels' own pictures lies."""
    return float(np.quantile(own, 1 - turned_away))


def assign_folds(kinds: Sequence[str], *, folds: int = FOLDS, seed: int = 0) -> npt.NDArray[np.int64]:
    """The fold of each picture; a kind is in one fold as a whole."""
    names = sorted(set(kinds))
    order = np.random.default_rng(seed).permutation(len(names))
    fold = {names[place]: position % folds for position, place in enumerate(order)}
    return np.array([fold[kind] for kind in kinds], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Unseen:
    """What a rule did with pictures of kinds that it had not seen; shape (n,) each."""

    kinds: npt.NDArray[np.str_]
    above: npt.NDArray[np.float64]
    """The share of the labels' own pictures with a lower score, in [0, 1]; its mean is the area under the ROC curve."""
    turned_away: npt.NDArray[np.bool_]

    def rates(self, near: Sequence[str]) -> dict[str, Any]:
        """For near kinds and for the others: n, share turned away, AUROC, and 95% intervals over kinds."""
        is_near = np.isin(self.kinds, list(near))
        groups = {"near": is_near, "far": ~is_near}
        return {name: asdict(self._group(members)) for name, members in groups.items() if members.any()}

    def _group(self, members: npt.NDArray[np.bool_]) -> "Group":
        _, kind = np.unique(self.kinds[members], return_inverse=True)
        away, above = self.turned_away[members].astype(np.float64), self.above[members]
        return Group(
            n=int(members.sum()),
            kinds=int(kind.max()) + 1,
            turned_away=float(away.mean()),
            auroc=float(above.mean()),
            intervals={"turned_away": _over_kinds(away, kind), "auroc": _over_kinds(above, kind)},
        )


@dataclass(frozen=True, slots=True)
class Group:
    """Rates of some kinds."""

    n: int
    kinds: int
    turned_away: float
    auroc: float
    intervals: dict[str, Interval]


def judge_unseen(own: Scores, scores: Scores, kinds: Sequence[str], threshold: float) -> Unseen:
    """Compare scores of pictures of unseen kinds with those of the labels' own pictures."""
    ordered = np.sort(own)
    below = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return Unseen(np.array(kinds), below / (2 * len(own)), scores > threshold)


def cross_validate(  # noqa: PLR0913 - each is one thing
    train: Views,
    validation: Features,
    others: Views,
    kinds: Sequence[str],
    *,
    strength: float,
    ease: npt.NDArray[np.float64] | float = 1.0,
) -> Unseen:
    """Fit head and threshold without one fold of the kinds, and judge them on it; then the next fold."""
    fold_of = assign_folds(kinds)
    names = np.array(kinds)
    above = np.zeros(len(names))
    away = np.zeros(len(names), dtype=np.bool_)
    for fold in np.unique(fold_of):
        out = fold_of == fold
        head = fit_head(train.all, others.some(~out).all, strength=strength, ease=ease)
        own = head.score(validation)
        judged = judge_unseen(own, head.score(others.served[out]), names[out].tolist(), fit_threshold(own))
        above[out], away[out] = judged.above, judged.turned_away
    return Unseen(names, above, away)


def _over_kinds(values: npt.NDArray[np.float64], kind: npt.NDArray[np.int64]) -> Interval:
    """A bootstrap of the mean over whole kinds: pictures of one kind are alike."""
    sums, counts = np.bincount(kind, weights=values), np.bincount(kind)
    drawn = np.random.default_rng(0).integers(0, len(counts), (_RESAMPLES, len(counts)))
    return middle((sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)).tolist())

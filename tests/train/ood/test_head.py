"""The statistics of the rule that says "neither", on features made for the purpose."""

import numpy as np
import pytest

from train.ood.branch import Head
from train.ood.head import assign_folds, cross_validate, fit_head, fit_threshold, judge_unseen
from train.ood.views import Views

WIDTH = 6


def cloud(seed: int, centre: list[float], n: int = 400) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n, WIDTH))
    return (noise + np.array(centre + [0.0] * (WIDTH - len(centre)))).astype(np.float32)


def test_the_head_tells_other_things_from_the_labels_whatever_the_units() -> None:
    own, other = cloud(1, [0.0]), cloud(2, [4.0])
    head = fit_head(own, other, strength=0.01)
    assert (head.score(own) < 0).mean() > 0.95
    assert (head.score(other) > 0).mean() > 0.95
    unit = np.array([1e3, 1e-3, 1, 1, 1, 1], dtype=np.float32)
    scaled = fit_head(own * unit, other * unit, strength=0.01)
    assert scaled.score(other * unit) == pytest.approx(head.score(other), abs=0.01)


def test_few_other_pictures_count_as_much_as_many_own_ones() -> None:
    own, other = cloud(1, [0.0], 2000), cloud(2, [4.0], 20)
    head = fit_head(own, other, strength=0.01)
    assert (head.score(other) > 0).mean() > 0.9


def test_a_strong_pull_keeps_the_head_and_a_weak_one_lets_it_learn() -> None:
    own, known, new = cloud(1, [0.0]), cloud(2, [4.0]), cloud(3, [0.0, 4.0], 15)
    start = fit_head(own, known, strength=0.01)
    kept = fit_head(own, new, strength=1e6, start=start)
    assert kept.weight == pytest.approx(start.weight, abs=1e-4)
    learned = fit_head(own, new, strength=0.1, start=start)
    threshold = [fit_threshold(head.score(own)) for head in (start, learned)]
    assert (start.score(new) > threshold[0]).mean() < 0.2
    assert (learned.score(new) > threshold[1]).mean() > 0.8
    forgetful = fit_head(own, new, strength=0.1)
    assert (learned.score(known) > threshold[1]).mean() > 2 * (
        forgetful.score(known) > fit_threshold(forgetful.score(own))
    ).mean()


def test_the_threshold_turns_away_the_share_asked_for() -> None:
    scores = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    assert (scores > fit_threshold(scores, turned_away=0.015)).mean() == pytest.approx(0.015, abs=1e-4)


def test_a_kind_is_in_one_fold_as_a_whole() -> None:
    kinds = [f"kind {index % 23}" for index in range(200)]
    folds = assign_folds(kinds)
    assert set(folds) == set(range(5))
    assert all(len({fold for fold, kind in zip(folds, kinds, strict=True) if kind == name}) == 1 for name in set(kinds))
    assert (folds == assign_folds(kinds)).all()


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    own = np.array([0.0, 1.0, 2.0, 3.0], dtype=np.float32)
    judged = judge_unseen(own, np.array([-1.0, 2.0, 9.0], dtype=np.float32), ["fox", "sofa", "sofa"], 2.5)
    assert judged.above.tolist() == [0, 0.625, 1]  # a tie counts half
    rates = judged.rates(["fox"])
    assert (rates["near"]["auroc"], rates["near"]["turned_away"], rates["near"]["kinds"]) == (0, 0, 1)
    assert (rates["far"]["auroc"], rates["far"]["turned_away"], rates["far"]["n"]) == (0.8125, 0.5, 2)
    low, high = rates["far"]["intervals"]["auroc"]
    assert low <= 0.8125 <= high


def test_what_is_published_is_about_kinds_that_the_head_did_not_see() -> None:
    """Each kind can be told only by a feature of its own, so a head that has not seen it fails."""
    own = Views(cloud(1, [0.0], 300)[:, None])
    kinds = [f"kind {place}" for place in range(5) for _ in range(20)]
    others = np.concatenate([cloud(10 + place, [0.0] * place + [6.0], 20) for place in range(5)])
    unseen = cross_validate(own, own.served, Views(others[:, None]), kinds, strength=0.01)
    assert unseen.turned_away.mean() < 0.3
    seen = fit_head(own.all, others, strength=0.01)
    assert (seen.score(others) > fit_threshold(seen.score(own.served))).mean() > 0.7


def test_a_head_is_a_weighted_sum() -> None:
    assert Head(np.array([1, -2], dtype=np.float32), 0.5).score(np.array([[3, 1]], dtype=np.float32)) == 1.5

"""Who may take the champion's place."""

import numpy as np
import pytest

from train.loop.gate import Compared, GateReport, Latency, Rules, judge, lower_bound, mcnemar
from train.metrics import Floats

RULES = Rules()
FAST = Latency(champion_ms=5.0, challenger_ms=5.0)


def answers(right: np.ndarray) -> Floats:
    """Probabilities of one label of two, whose confidence is as good as its accuracy."""
    sure = max(right.mean(), 0.51) if len(right) else 0.51
    return np.where(right, sure, 1 - sure)[:, None] * [1, -1] + [0, 1]


def compared(n: int, *, old_wrong: int = 0, new_wrong: int = 0, both: int = 0) -> Compared:
    """Of n pictures some that only the old model gets wrong, some that only the new one does, and some both."""
    old, new = np.ones(n, dtype=bool), np.ones(n, dtype=bool)
    old[: old_wrong + both] = False
    new[old_wrong : old_wrong + both + new_wrong] = False
    return Compared(np.zeros(n, dtype=np.int64), answers(old), answers(new))


GAIN = compared(40, old_wrong=20)


def verdict(test: Compared, held_out: Compared = GAIN, **changes: object) -> GateReport:
    return judge(test, changes.pop("slices", {}), held_out, changes.pop("latency", FAST), rules=RULES)


def failed(report: GateReport) -> list[str]:
    return [check.name for check in report.checks if not check.passed]


def test_a_challenger_that_loses_nothing_and_gains_on_feedback_is_accepted() -> None:
    report = verdict(compared(2000, both=30))
    assert report.accepted
    assert report.reasons == []
    assert "accepted" in report.as_text()


@pytest.mark.parametrize(("lost", "passed"), [(2, True), (3, False)])
def test_a_tenth_of_a_point_may_be_lost_on_the_test_set(lost: int, passed: bool) -> None:
    report = verdict(compared(2000, new_wrong=lost, both=20))
    assert ("accuracy on the test set" not in failed(report)) is passed


def test_an_equal_accuracy_from_many_changes_is_too_uncertain() -> None:
    assert failed(verdict(compared(2000, old_wrong=40, new_wrong=40))) == ["its 95 % lower bound"]
    assert verdict(compared(2000, old_wrong=4, new_wrong=4)).accepted


@pytest.mark.parametrize(("size", "lost", "passed"), [(100, 1, True), (100, 2, False), (99, 2, True)])
def test_no_slice_of_a_hundred_may_lose_more_than_a_point(size: int, lost: int, passed: bool) -> None:
    test = compared(4000, old_wrong=4, new_wrong=lost)
    mask = np.zeros(4000, dtype=bool)
    mask[4 : 4 + size] = True
    report = verdict(test, slices={"dark": mask})
    assert report.accepted is passed
    assert failed(report) == ([] if passed else ["slices"])
    assert "dark" in report.as_text()


def test_a_challenger_that_is_too_sure_of_itself_is_refused() -> None:
    mixed = np.random.default_rng(0).permutation(2000)  # else each bin of the ECE would be all right or all wrong
    test = compared(2000, both=200)
    sober, sure = test.challenger[mixed], np.where(test.challenger > 0.5, 1.0, 0.0)[mixed]
    assert verdict(Compared(test.labels, sober, sober)).accepted
    assert failed(verdict(Compared(test.labels, sober, sure))) == ["calibration"]


def test_a_slow_challenger_is_refused() -> None:
    assert verdict(compared(2000), latency=Latency(champion_ms=10, challenger_ms=13)).accepted
    assert failed(verdict(compared(2000), latency=Latency(champion_ms=10, challenger_ms=14))) == ["latency"]


def test_without_a_significant_gain_on_feedback_nothing_is_published() -> None:
    test = compared(2000)
    assert failed(verdict(test, compared(40))) == ["held-out feedback"]
    assert failed(verdict(test, compared(40, old_wrong=4))) == ["held-out feedback"]
    assert verdict(test, compared(40, old_wrong=5)).accepted
    assert failed(verdict(test, compared(40, old_wrong=5, new_wrong=2))) == ["held-out feedback"]


def test_a_gain_on_too_few_pictures_does_not_count() -> None:
    report = verdict(compared(2000), compared(29, old_wrong=29))
    assert failed(report) == ["held-out feedback"]
    assert "30 are needed" in report.reasons[0]


def test_no_feedback_at_all_is_refused_and_not_a_crash() -> None:
    assert failed(verdict(compared(100), compared(0))) == ["held-out feedback"]


def test_mcnemars_p_is_that_of_the_binomial_distribution() -> None:
    assert mcnemar(np.array([1] * 5)) == pytest.approx(1 / 32)
    assert mcnemar(np.array([1, 1, 1, -1, 0, 0])) == pytest.approx(5 / 16)
    assert mcnemar(np.array([0, 0])) == 1.0


def test_the_lower_bound_is_repeatable_and_one_sided() -> None:
    gains = np.array([-1] * 10 + [1] * 10 + [0] * 1980)
    bound = lower_bound(gains, seed=0)
    assert bound == lower_bound(gains, seed=0)
    assert bound == pytest.approx(-1.645 * np.sqrt(20) / 2000, abs=0.0004)
    assert lower_bound(np.zeros(50, dtype=np.int64), seed=0) == 0.0


def test_a_report_survives_its_file() -> None:
    report = verdict(compared(200, both=2), slices={"empty": np.zeros(200, dtype=bool)})
    assert GateReport.model_validate_json(report.model_dump_json()) == report

"""The gate: may the challenger take the champion's place? Rules, their reasons, and a report for people and programs.

Two questions are asked. On the fixed test set: has nothing got worse? On held-out feedback, which neither model was
trained on: has it got better? Whoever cannot be judged is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError
from scipy import stats  # type: ignore[import-untyped]

from catdog.errors import ModelError
from train.evaluation.slices import Mask
from train.metrics import Floats, Labels, ece

GATE_FILE = "gate.json"


_RESAMPLES = 9999
_BATCH = 100  # resamples at once: memory
_SHOWN_SLICES = 20


@dataclass(frozen=True, slots=True)
class Rules:
    """When a challenger is good enough. Shares of pictures, in [0, 1]."""

    min_difference: float = -0.001
    """Of accuracy on the test set, challenger minus champion."""
    min_lower_bound: float = -0.003
    """Of that difference: one-sided 95 % bound, paired bootstrap over pictures."""
    slice_size: int = 100
    """Smaller slices are shown, and not judged."""
    max_slice_loss: float = 0.01
    max_ece: float = 0.02
    max_ece_rise: float = 0.01
    """ECE may be as large as `max_ece`, or as the champion's plus this, whichever is more."""
    max_slowdown: float = 1.25
    latency_slack_ms: float = 1.0
    """Latency may be the champion's times `max_slowdown`, plus this."""
    min_held_out: int = 30
    max_p: float = 0.05
    """Of McNemar's exact test on held-out feedback, one-sided."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What both models say about the same n pictures."""

    labels: Labels
    """Shape (n,): the true ones."""
    champion: Floats
    """Shape (n, labels): probabilities."""
    challenger: Floats

    @property
    def gains(self) -> npt.NDArray[np.int64]:
        """Shape (n,): 1 where only the challenger is right, -1 where only the champion is, else 0."""
        challenger, champion = (each.argmax(axis=1) == self.labels for each in (self.challenger, self.champion))
        gains: npt.NDArray[np.int64] = challenger.astype(np.int64) - champion.astype(np.int64)
        return gains


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one picture on one core, in milliseconds."""

    champion_ms: float
    challenger_ms: float


class Check(BaseModel):
    """One rule and what became of it."""

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    finding: str
    """In words, with the numbers."""


class Slice(BaseModel):
    """How one kind of picture fared."""

    model_config = ConfigDict(frozen=True)

    name: str
    n: int
    difference: float | None
    """Of accuracy, challenger minus champion; None of no pictures."""
    judged: bool


class GateReport(BaseModel):
    """Why a challenger was accepted or refused."""

    model_config = ConfigDict(frozen=True)

    accepted: bool
    checks: tuple[Check, ...]
    slices: tuple[Slice, ...]
    numbers: dict[str, float | int | None]
    """Accuracy, ECE and latency of both models, and the statistics."""

    @property
    def reasons(self) -> list[str]:
        """Why it was refused; empty if it was not."""
        return [check.finding for check in self.checks if not check.passed]

    def as_text(self) -> str:
        """For people: a line a rule, then the slices."""
        lines = [f"{'passed' if check.passed else 'FAILED'}  {check.name}: {check.finding}" for check in self.checks]
        lines += ["", "slice                 n   difference"]
        lines += [_slice_line(each) for each in self.slices[:_SHOWN_SLICES]]
        return "\n".join(["accepted" if self.accepted else "REFUSED", *lines])


def judge(  # noqa: PLR0913 - each is one thing
    test: Compared, slices: Mapping[str, Mask], held_out: Compared, latency: Latency, *, rules: Rules, seed: int = 0
) -> GateReport:
    """Apply every rule.

    Args:
        test: The fixed test set; n is at least 1.
        slices: From a kind of picture to which of the test pictures are of it, shape (n,).
        held_out: Feedback that no model was trained on, one picture of each group of near-duplicates.
        latency: Measured side by side.
        rules: What is good enough.
        seed: Of the bootstrap.
    """
    found = tuple(_slice(name, mask, test.gains, rules) for name, mask in slices.items())
    bound = lower_bound(test.gains, seed=seed)
    p = mcnemar(held_out.gains)
    checks = (
        *_judge_test(float(test.gains.mean()), bound, len(test.labels), rules),
        _judge_slices(found, rules),
        _judge_ece(test, rules),
        _judge_latency(latency, rules),
        _judge_held_out(held_out, p, rules),
    )
    return GateReport(
        accepted=all(check.passed for check in checks),
        checks=checks,
        slices=found,
        numbers={**_numbers("test", test), **_numbers("held_out", held_out), "lower_bound": bound, "p": p,
            "champion_ms": latency.champion_ms, "challenger_ms": latency.challenger_ms},
    )  # fmt: skip


def read_report(path: Path) -> GateReport:
    """Read `gate.json`.

    Raises:
        ModelError: it is missing or damaged.
    """
    try:
        return GateReport.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(f"{path} is no report of the gate ({type(error).__name__}). Retrain the model.") from None


def write_report(path: Path, report: GateReport) -> None:
    """Write `gate.json`."""
    path.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")


def lower_bound(gains: npt.NDArray[np.int64], *, seed: int) -> float:
    """The one-sided 95 % lower bound of the mean gain: percentile bootstrap over pictures, so pairs stay paired."""
    if not gains.any():
        return 0.0
    found = stats.bootstrap(
        (gains,), np.mean, confidence_level=0.95, alternative="greater", method="percentile",
        n_resamples=_RESAMPLES, batch=_BATCH, random_state=np.random.default_rng(seed),
    )  # fmt: skip
    return float(found.confidence_interval.low)


def mcnemar(gains: npt.NDArray[np.int64]) -> float:
    """McNemar's exact test, one-sided: how likely so many gains among the changes were, if changes were random."""
    better, worse = int((gains > 0).sum()), int((gains < 0).sum())
    if better + worse == 0:
        return 1.0
    return float(stats.binomtest(better, better + worse, 0.5, alternative="greater").pvalue)


def _judge_test(difference: float, bound: float, n: int, rules: Rules) -> tuple[Check, Check]:
    return (
        Check(
            name="accuracy on the test set",
            passed=difference >= rules.min_difference,
            finding=f"{_points(difference)} on {n} pictures, at least {_points(rules.min_difference)} is asked",
        ),
        Check(
            name="its 95 % lower bound",
            passed=bound >= rules.min_lower_bound,
            finding=f"{_points(bound)}, at least {_points(rules.min_lower_bound)} is asked",
        ),
    )


def _judge_slices(slices: tuple[Slice, ...], rules: Rules) -> Check:
    judged = [each for each in slices if each.judged and each.difference is not None]
    bad = [each for each in judged if (each.difference or 0.0) < -rules.max_slice_loss]
    told = ", ".join(f"{each.name} {_points(each.difference or 0.0)} of {each.n}" for each in bad)
    return Check(
        name="slices",
        passed=not bad,
        finding=f"{told or f'none of {len(judged)}'} loses more than {_points(rules.max_slice_loss)}",
    )


def _judge_ece(test: Compared, rules: Rules) -> Check:
    before, after = ece(test.champion, test.labels), ece(test.challenger, test.labels)
    allowed = max(rules.max_ece, before + rules.max_ece_rise)
    return Check(
        name="calibration",
        passed=after <= allowed,
        finding=f"expected calibration error {after:.2%} after {before:.2%}, at most {allowed:.2%} is allowed",
    )


def _judge_latency(latency: Latency, rules: Rules) -> Check:
    allowed = latency.champion_ms * rules.max_slowdown + rules.latency_slack_ms
    return Check(
        name="latency",
        passed=latency.challenger_ms <= allowed,
        finding=f"{latency.challenger_ms:.1f} ms after {latency.champion_ms:.1f} ms, at most {allowed:.1f} is allowed",
    )


def _judge_held_out(held_out: Compared, p: float, rules: Rules) -> Check:
    n, gains = len(held_out.labels), held_out.gains
    name = "held-out feedback"
    if n < rules.min_held_out:
        return Check(
            name=name,
            passed=False,
            finding=f"{n} pictures are too few to show a gain, {rules.min_held_out} are needed: review more feedback",
        )
    told = f"{(gains > 0).sum()} of {n} pictures newly right, {(gains < 0).sum()} newly wrong"
    return Check(
        name=name, passed=p < rules.max_p, finding=f"{told}; McNemar p = {p:.2g}, below {rules.max_p} is asked"
    )


def _slice(name: str, mask: Mask, gains: npt.NDArray[np.int64], rules: Rules) -> Slice:
    n = int(mask.sum())
    return Slice(name=name, n=n, difference=float(gains[mask].mean()) if n else None, judged=n >= rules.slice_size)


def _numbers(prefix: str, compared: Compared) -> dict[str, float | int | None]:
    n = len(compared.labels)
    numbers: dict[str, float | int | None] = {f"{prefix}_n": n}
    for who, probabilities in (("champion", compared.champion), ("challenger", compared.challenger)):
        right = probabilities.argmax(axis=1) == compared.labels
        numbers[f"{prefix}_{who}_accuracy"] = float(right.mean()) if n else None
        numbers[f"{prefix}_{who}_ece"] = ece(probabilities, compared.labels) if n else None
    return numbers


def _slice_line(each: Slice) -> str:
    difference = "-" if each.difference is None else _points(each.difference)
    return f"{each.name:<16} {each.n:>6}   {difference}{'' if each.judged else '  (too few to judge)'}"


def _points(share: float) -> str:
    """A difference of shares in percentage points."""
    return f"{100 * share:+.2f} points"

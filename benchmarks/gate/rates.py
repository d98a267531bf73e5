"""How often the gate accepts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.gate.challengers import (
    REMOVED,
    Refit,
    all_wrong,
    answers_from,
    draw,
    leaning_challengers,
    learned,
    let_through,
    moved,
    null_challengers,
    with_error_rate,
    with_repeats,
)
from benchmarks.gate.world import Change, Floats, Pool
from catdog.model.model import softmax
from train.gate.evidence import Answers, Asked, Evidence, Latency, Likeness, Outputs, Rejection
from train.gate.gate import judge
from train.gate.history import History, Look
from train.gate.learning import claims
from train.gate.rules import Rules

START = datetime(2026, 1, 1, tzinfo=UTC)
WEEKS = 52
PER_WEEK = 8
_FEWEST = 5
_RULES = Rules()


def false_acceptance(  # noqa: PLR0913 - each is one thing
    test: Pool, pool: Pool, heads: list[Refit], corrections: float, rounds: int, *, lets_through: bool = False
) -> float:
    """Of challengers that learned nothing, judged once by 100 answers."""
    rng, accepted = np.random.default_rng(1), 0
    for round_ in range(rounds):
        answers = answers_from(pool, 100, corrections, rng, tossed=lets_through)
        likeness = all_wrong() if round_ % 2 else None
        challengers = null_challengers(heads, rng)
        rejection = let_through(test, len(answers), rng) if lets_through else None
        evidence = evidence_of(test, answers, *challengers, likeness=likeness, rejection=rejection)
        accepted += accepts(evidence, History(), START)[0]
    return accepted / rounds


def false_acceptance_of_leaning(test: Pool, pool: Pool, heads: list[Refit], rounds: int) -> float:
    """Of challengers that only say more often what all people report, judged once by up to 100 answers."""
    rng, accepted = np.random.default_rng(6), 0
    for round_ in range(rounds):
        label, (corrections, same_replay) = round_ % 2, ((1.0, False), (0.7, True))[round_ // 2 % 2]
        reported = pool.take(np.flatnonzero(pool.labels == label))
        answers = answers_from(reported, 100, corrections, rng)
        challengers = leaning_challengers(heads, label, rng, same_replay=same_replay)
        accepted += accepts(evidence_of(test, answers, *challengers), History(), START)[0]
    return accepted / rounds


def false_acceptance_in_a_year(  # noqa: PLR0913 - each is one thing
    test: Pool,
    pool: Pool,
    heads: list[Refit],
    corrections: float,
    rounds: int,
    *,
    same_replay: bool = True,
    lets_through: bool = False,
) -> float:
    """Of years in which eight answers come every week, and another challenger that learned nothing is judged by all."""
    rng, accepted = np.random.default_rng(2), 0
    for round_ in range(rounds):
        likeness = all_wrong() if round_ % 2 else None
        stream, history = answers_from(pool, WEEKS * PER_WEEK, corrections, rng, tossed=lets_through), History()
        for week in range(4, WEEKS + 1):
            answers = stream.take(np.arange(len(stream))[: week * PER_WEEK])
            challengers = null_challengers(heads, rng, same_replay=same_replay)
            rejection = let_through(test, len(answers), rng) if lets_through else None
            evidence = evidence_of(test, answers, *challengers, likeness=likeness, rejection=rejection)
            passed, history = accepts(evidence, history, START + timedelta(weeks=week))
            if passed:
                accepted += 1
                break
    return accepted / rounds


def power(  # noqa: PLR0913 - each is one thing
    test: Pool, pool: Pool, heads: list[Refit], rounds: int, *, answers: int = 100, looks: int = 0, by: float = 0.5
) -> float:
    """How often a challenger passes that has 30% of the mistakes of one kind right, by answers about that kind.

    Its head, and its twin's, went `by` of the way to a refit on training pictures, each on a sample of its own.
    """
    rng, accepted = np.random.default_rng(3), 0
    kinds = [kind for kind in np.unique(pool.kinds) if kind and (~pool.right & (pool.kinds == kind)).sum() >= _FEWEST]
    for round_ in range(rounds):
        kind = pool.take(np.flatnonzero(pool.kinds == kinds[round_ % len(kinds)]))
        answered = kind.take(with_repeats(kind, answers, rng))
        one, other = rng.choice(len(heads), 2, replace=False)
        challenger = learned(moved(heads[one].weights, by=by), answered, rng)
        evidence = evidence_of(test, answered, challenger, moved(heads[other].weights, by=by))
        accepted += accepts(evidence, _weekly_refusals(looks), START + timedelta(weeks=looks))[0]
    return accepted / rounds


def power_of_letting_through(test: Pool, pool: Pool, heads: list[Refit], rounds: int, *, right: float) -> float:
    """How often a challenger passes whose rule lets pictures through, if the labels of so many of them are right."""
    rng, accepted = np.random.default_rng(5), 0
    for _ in range(rounds):
        answers = pool.take(draw(pool, 100, 1 - right, rng))
        challenger, twin = (moved(heads[each].weights, by=0.5) for each in rng.choice(len(heads), 2, replace=False))
        evidence = evidence_of(test, answers, challenger, twin, rejection=let_through(test, len(answers), rng))
        accepted += accepts(evidence, History(), START)[0]
    return accepted / rounds


def power_of_small_tests(pool: Pool, heads: list[Refit], rounds: int, *, test_size: int) -> tuple[float, float]:
    """How often a challenger passes that removes 30% of all mistakes, of 13% to begin with; and its gain in points."""
    rng, accepted = np.random.default_rng(4), 0
    for _ in range(rounds):
        test = pool.take(with_error_rate(pool, test_size, 0.13, rng))
        answers = pool.take(with_repeats(pool, 228, rng, corrections=0.4))
        joined = Pool(*(np.concatenate([getattr(each, name) for each in (test, answers)]) for name in Pool.__slots__))
        one, other = rng.choice(len(heads), 2, replace=False)
        better = learned(moved(heads[one].weights), joined, rng)(joined)
        given = iter((better[: len(test)], better[len(test) :]))

        def challenger(_: Pool, given: Iterator[Floats] = given) -> Floats:
            return next(given)

        accepted += accepts(evidence_of(test, answers, challenger, moved(heads[other].weights)), History(), START)[0]
    return accepted / rounds, 100 * 0.13 * REMOVED


def evidence_of(  # noqa: PLR0913 - each is one thing
    test: Pool,
    answers: Pool,
    challenger: Change,
    twin: Change,
    *,
    likeness: Likeness | None = None,
    rejection: Rejection | None = None,
) -> Evidence:
    """What the gate looks at."""
    outputs = [
        Outputs(pool.labels, *map(_probabilities, (pool.logits, challenger(pool), twin(pool))))
        for pool in (test, answers)
    ]
    n = len(answers)
    rows = tuple((str(i),) for i in range(n))
    volunteered = Answers(outputs[1], np.arange(n), (Asked.VOLUNTEERED,) * n, rows, likeness=likeness)
    return Evidence(outputs[0], {}, volunteered, Latency(1.0, 1.0), rejection)


def _probabilities(logits: Floats) -> Floats:
    return softmax(logits.astype(np.float32))


def accepts(evidence: Evidence, history: History, now: datetime) -> tuple[bool, History]:
    """The gate's verdict. The slow rules are skipped where the first has refused already."""
    claimed, level = claims(evidence), history.level(now)
    p = min(each.p for each in claimed) * len(claimed)
    accepted = p < level and judge(evidence, history, rules=_RULES, now=now).accepted
    look = Look(at=now, champion="model", answers=len(evidence.answers), p=p, level=level, accepted=accepted)
    return accepted, history.plus(look)


def _weekly_refusals(count: int) -> History:
    """The history after so many weeks in which everything was refused."""
    history = History()
    for week in range(count):
        now = START + timedelta(weeks=week)
        level = history.level(now)
        history = history.plus(Look(at=now, champion="model", answers=100, p=1, level=level, accepted=False))
    return history

"""Does the gate err? Simulated on a model's real predictions: false acceptances, and gains that it misses.

    python -m benchmarks.gate [--model DIR] [--data DIR] [--other DIR] [--rounds N] [--years N] [--cache FILE]

The model predicts its test and validation pictures, other pictures, and those again in worse shape (darkened, blurred,
turned, ...), so that there are mistakes enough. People's answers are drawn from the others. Challengers and twins that
learned nothing are the model with its head refitted on samples of its training pictures: on samples that differ as
they do in a retraining, by a hundred pictures, or altogether, which is harder. Some challengers are moved
twice as far, less certain, or lean to one label besides. Learning is simulated by removing 30% of the mistakes of one
kind. In some rows the champion turns most answered pictures away as "neither", and the challenger lets most of these
through; where it knows nothing about them, people's labels are coin tosses. The gate judges.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from catdog.model.metadata import SPLITS_FILE
from catdog.model.model import Model, softmax
from catdog.model.preprocessing import preprocess
from train.data.examples import map_rows, read_examples
from train.data.source import Row, Source, open_source
from train.data.splits import read_manifest, seen_splits
from train.evaluation.distortions import DISTORTIONS
from train.gate.evidence import Answers, Asked, Evidence, Latency, Likeness, Outputs, Rejection, TurnedAway
from train.gate.gate import judge
from train.gate.history import History, Look
from train.gate.learning import claims
from train.gate.rules import Rules

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
START = datetime(2026, 1, 1, tzinfo=UTC)
WEEKS = 52
PER_WEEK = 8
_COMPONENTS = 48
_WORSE_SHAPES = 3
_REFITS = 512
_REFIT_ROWS = 1500
_NEW_ROWS = 100
"""Of a sample, in which a challenger and its twin differ: as many as there are answers."""
_RIDGE = 30.0
_REMOVED = 0.3
_TURNED_AWAY = 0.8
"""Of the answered pictures, where the champion turns many away; the challenger gives as many of these a label."""
_FEWEST = 5
_REPLAYED = 2000
_KINDS_ROUNDS = 100
_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Pool:
    """What the model says about n pictures."""

    logits: Floats
    """Shape (n, labels)."""
    features: Floats
    labels: Ints
    kinds: Ints
    """Shape (n,): 0 as they are, else the number of the distortion."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Shape (n,): where the top label is the true one."""
        return self.logits.argmax(axis=1) == self.labels

    def take(self, index: Ints) -> "Pool":
        """Some of the pictures."""
        return Pool(self.logits[index], self.features[index], self.labels[index], self.kinds[index])


_Said = tuple[Floats, npt.NDArray[np.float32], int, int]
"""Logits, features, label and kind of a picture."""

Change = Callable[[Pool], Floats]
"""From pictures to the logits of another model, shape (n, labels)."""


@dataclass(frozen=True, slots=True)
class World:
    """The pictures of the simulation."""

    kept: Pool
    """Test and validation pictures of the model's own data."""
    replayed: Pool
    """Some of its training pictures."""
    answered: Pool
    """What people send: other pictures as they are, and each in three worse shapes."""


def collect(folder: Path, data: str, other: str, cache: Path) -> World:
    """Ask the model about all pictures, or read what it said before."""
    if not cache.is_file():
        model = Model.load(folder)
        own, others = (open_source(name).with_labels(model.labels) for name in (data, other))
        examples = read_examples(own)
        splits = seen_splits(examples.hashes, read_manifest(folder / SPLITS_FILE))
        train = examples.rows[splits == "train"][:_REPLAYED].tolist()
        found = {
            "kept": _ask(model, own, 0, examples.rows[splits != "train"].tolist()),
            "replayed": _ask(model, own, 0, train),
            "answered": [row for turn in range(1 + _WORSE_SHAPES) for row in _ask(model, others, turn)],
        }
        columns = {
            f"{name}_{i}": np.array(each)
            for name, rows in found.items()
            for i, each in enumerate(zip(*rows, strict=True))
        }
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, **columns)
    with np.load(cache, allow_pickle=False) as stored:
        pools = [Pool(*(stored[f"{name}_{i}"] for i in range(4))) for name in ("kept", "replayed", "answered")]
    return World(*_reduced(pools))


def _ask(model: Model, source: Source, turn: int, rows: Sequence[int] | None = None) -> list[_Said]:
    """Of each picture; in each turn but the first it is in another worse shape."""
    names = list(DISTORTIONS)

    def predict(row: Row, image: Image.Image) -> _Said:
        kind = 1 + (row.index + 2 * turn) % len(names) if turn else 0
        pixels = [preprocess(DISTORTIONS[names[kind - 1]](image) if kind else image, model.metadata.preprocessing)]
        probabilities = np.array(model.predict_batch(pixels)[0].probabilities)
        return np.log(np.maximum(probabilities, 1e-9)), model.features(pixels)[0], row.label or 0, kind

    return [found for found in map_rows(source, predict, rows) if not isinstance(found, str)]


def _reduced(pools: Sequence[Pool]) -> list[Pool]:
    """With the first principal components of the first pool's features instead, of unit variance."""
    first = pools[0].features
    mean = first.mean(axis=0)
    _, sizes, axes = np.linalg.svd(first - mean, full_matrices=False)
    scale = axes[:_COMPONENTS].T / sizes[:_COMPONENTS] * np.sqrt(len(first))
    return [Pool(each.logits, (each.features - mean) @ scale, each.labels, each.kinds) for each in pools]


@dataclass(frozen=True, slots=True)
class Refit:
    """What another head, fitted on a sample of the pictures, adds to the logits: shape (features + 1, labels)."""

    weights: Floats
    sibling: Floats
    """Of one that was fitted on the same sample but for some of it."""


def refits(pool: Pool, rng: np.random.Generator) -> list[Refit]:
    """Heads, each fitted on a sample of its own."""
    found = []
    for _ in range(_REFITS):
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


def let_through(test: Pool, answers: int, rng: np.random.Generator) -> Rejection:
    """A rule that lets most of the answered pictures through which it turned away, and the test pictures as before."""
    none, before = TurnedAway(*np.zeros((2, 0), dtype=np.bool_)), rng.random(answers) < _TURNED_AWAY
    still = before & (rng.random(answers) >= _TURNED_AWAY)
    tested = np.zeros(len(test), dtype=np.bool_)
    return Rejection(neither=none, known=none, answers=TurnedAway(before, still), test=TurnedAway(tested, tested))


def _probabilities(logits: Floats) -> Floats:
    return softmax(logits.astype(np.float32))


def accepts(evidence: Evidence, history: History, now: datetime) -> tuple[bool, History]:
    """The gate's verdict. The slow rules are skipped where the first has refused already."""
    claimed, level = claims(evidence), history.level(now)
    p = min(each.p for each in claimed) * len(claimed)
    accepted = p < level and judge(evidence, history, rules=_RULES, now=now).accepted
    look = Look(at=now, champion="model", answers=len(evidence.answers), p=p, level=level, accepted=accepted)
    return accepted, history.plus(look)


def draw(pool: Pool, n: int, corrections: float, rng: np.random.Generator) -> Ints:
    """Indices of n answers, a share of them corrections, each picture once."""
    wrong, right = (rng.permutation(np.flatnonzero(pool.right == is_right)) for is_right in (False, True))
    wanted = min(round(n * corrections), len(wrong))
    return np.concatenate([wrong[:wanted], right[: n - wanted if corrections < 1 else 0]])


def _answers(pool: Pool, n: int, corrections: float, rng: np.random.Generator, *, tossed: bool) -> Pool:
    """In any order; with people's labels, or with tossed ones, of which no model can know more than half."""
    answers = pool.take(rng.permutation(draw(pool, n, corrections, rng)))
    return replace(answers, labels=rng.integers(0, pool.logits.shape[1], len(answers))) if tossed else answers


def _likeness(pool: Pool) -> Likeness:
    """The model has half of such pictures wrong, when the gate is most lenient, and of each label as in the pool."""
    wrong = np.bincount(pool.labels[~pool.right], minlength=pool.logits.shape[1])
    return Likeness(wrong, 2 * wrong)


def null_challengers(
    heads: list[Refit], rng: np.random.Generator, *, same_replay: bool = False
) -> tuple[Change, Change]:
    """A challenger that learned nothing, and its twin, which was fitted on mostly the same sample or on another."""
    one, other = (heads[each] for each in rng.choice(len(heads), 2, replace=False))
    disguises = (
        {},
        {"by": 2.0},
        {"less_certain": float(rng.uniform(1.1, 1.8))},
        {"leans": float(rng.choice([-1, 1]) * rng.uniform(0.2, 0.8))},
    )
    twin = one.sibling if same_replay else other.weights
    return moved(one.weights, **disguises[rng.integers(len(disguises))]), moved(twin)


def false_acceptance(  # noqa: PLR0913 - each is one thing
    test: Pool, pool: Pool, heads: list[Refit], corrections: float, rounds: int, *, lets_through: bool = False
) -> float:
    """Of challengers that learned nothing, judged once by 100 answers."""
    rng, accepted = np.random.default_rng(1), 0
    for round_ in range(rounds):
        answers = _answers(pool, 100, corrections, rng, tossed=lets_through)
        likeness = _likeness(pool) if round_ % 2 else None
        challengers = null_challengers(heads, rng)
        rejection = let_through(test, len(answers), rng) if lets_through else None
        evidence = evidence_of(test, answers, *challengers, likeness=likeness, rejection=rejection)
        accepted += accepts(evidence, History(), START)[0]
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
        likeness = _likeness(pool) if round_ % 2 else None
        stream, history = _answers(pool, WEEKS * PER_WEEK, corrections, rng, tossed=lets_through), History()
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
        answered = kind.take(_with_repeats(kind, answers, rng))
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
        test = pool.take(_with_error_rate(pool, test_size, 0.13, rng))
        answers = pool.take(_with_repeats(pool, 228, rng, corrections=0.4))
        both = np.concatenate([np.arange(len(test)), len(test) + np.arange(len(answers))])
        joined = Pool(*(np.concatenate([getattr(each, name) for each in (test, answers)]) for name in Pool.__slots__))
        one, other = rng.choice(len(heads), 2, replace=False)
        better = learned(moved(heads[one].weights), joined.take(both), rng)(joined)
        given = iter((better[: len(test)], better[len(test) :]))
        accepted += accepts(
            evidence_of(test, answers, lambda _, given=given: next(given), moved(heads[other].weights)),
            History(),
            START,
        )[0]
    return accepted / rounds, 100 * 0.13 * _REMOVED


def learned(change: Change, answered: Pool, rng: np.random.Generator) -> Change:
    """The same model, but with 30% of the mistakes among some pictures right, as sure as the model is of others."""
    chosen = ~answered.right & (rng.random(len(answered)) < _REMOVED)
    right = answered.logits[answered.right]

    def better(pool: Pool) -> Floats:
        logits = change(pool)
        if len(pool) == len(answered):
            for i in np.flatnonzero(chosen):
                other = np.sort(right[rng.integers(len(right))])[::-1]
                logits[i] = other[-1]
                logits[i, pool.labels[i]] = other[0]
        return logits

    return better


def _weekly_refusals(count: int) -> History:
    """The history after so many weeks in which everything was refused."""
    history = History()
    for week in range(count):
        now = START + timedelta(weeks=week)
        level = history.level(now)
        history = history.plus(Look(at=now, champion="model", answers=100, p=1, level=level, accepted=False))
    return history


def _with_repeats(pool: Pool, n: int, rng: np.random.Generator, corrections: float = 0.7) -> Ints:
    """Indices of n pictures, drawn with replacement: few kinds have 70 mistakes."""
    wrong, right = np.flatnonzero(~pool.right), np.flatnonzero(pool.right)
    wanted = round(n * corrections)
    return np.concatenate([rng.choice(wrong, wanted), rng.choice(right, n - wanted)])


def _with_error_rate(pool: Pool, n: int, share: float, rng: np.random.Generator) -> Ints:
    return _with_repeats(pool, n, rng, corrections=rng.binomial(n, share) / n)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("model"), help="model folder (%(default)s)")
    parser.add_argument("--data", default=str(SHARED / "cats_vs_dogs"), help="what it was made from (%(default)s)")
    parser.add_argument(
        "--other", default=str(SHARED / "wild"), help="other pictures with the same labels (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=1000, help="challengers that learned nothing (%(default)s)")
    parser.add_argument("--years", type=int, default=100, help="years of weekly looks; 1000 take an hour (%(default)s)")
    parser.add_argument("--cache", type=Path, default=Path("runs/gate/predictions.npz"), help="(%(default)s)")
    parser.add_argument("--only", choices=("nothing", "years", "power", "small"), help="one of the four tables")
    arguments = parser.parse_args()
    if not arguments.cache.is_file() and not Path(arguments.data).is_dir():
        print(f"skipped: {arguments.data} is not here", file=sys.stderr)
        return 0
    simulate(collect(arguments.model, arguments.data, arguments.other, arguments.cache), arguments)
    return 0


def simulate(world: World, arguments: argparse.Namespace) -> None:
    kept, pool, rounds = world.kept, world.answered, arguments.rounds
    twins = refits(world.replayed, np.random.default_rng(0))
    wanted = [arguments.only] if arguments.only else ["nothing", "years", "power", "small"]
    print(f"{len(kept)} pictures kept from training, {(~kept.right).sum()} wrong; {len(pool)} others, "
          f"{(~pool.right).sum()} wrong\n")  # fmt: skip
    print("| challengers | accepted |\n|---|---|")
    if "nothing" in wanted:
        for name, share in (("corrections only", 1.0), ("70% corrections", 0.7), ("30% corrections", 0.3)):
            once = false_acceptance(kept, pool, twins, share, rounds)
            print(f"| learned nothing; 100 answers, {name} | {once:.1%} |", flush=True)
        once = false_acceptance(kept, pool, twins, 0.5, rounds, lets_through=True)
        print(f"| lets through what was turned away; 100 answers, labels tossed | {once:.1%} |", flush=True)
    if "years" in wanted:
        for name, share, same in (
            ("corrections only", 1.0, True),
            ("half corrections", 0.5, True),
            ("corrections only, another replay than the twin", 1.0, False),
        ):
            year = false_acceptance_in_a_year(kept, pool, twins, share, arguments.years, same_replay=same)
            print(f"| learned nothing; {WEEKS} weekly looks, {PER_WEEK} answers a week, {name} | {year:.1%} of years |",
                  flush=True)  # fmt: skip
        year = false_acceptance_in_a_year(kept, pool, twins, 0.5, arguments.years, lets_through=True)
        print(f"| lets through what was turned away; weekly looks, labels tossed | {year:.1%} of years |",
              flush=True)  # fmt: skip
    if "power" in wanted:
        for answers, looks, by in ((50, 0, 0.5), (100, 0, 0.5), (200, 0, 0.5), (100, 52, 0.5), (100, 0, 1.0)):
            share = power(kept, pool, twins, min(rounds, _KINDS_ROUNDS), answers=answers, looks=looks, by=by)
            after = f", after {looks} refusals" if looks else ", moved twice as far" if by > 0.5 else ""  # noqa: PLR2004
            print(f"| remove 30% of the mistakes of a kind; {answers} answers{after} | {share:.0%} |", flush=True)
        for right in (0.6, 0.7, 0.8):
            share = power_of_letting_through(kept, pool, twins, min(rounds, _KINDS_ROUNDS), right=right)
            print(f"| lets through what was turned away; 100 answers, {right:.0%} of the labels right | {share:.0%} |",
                  flush=True)  # fmt: skip
    if "small" in wanted:
        for size in (53, 200, 500):
            share, points = power_of_small_tests(pool, twins, min(rounds, _KINDS_ROUNDS), test_size=size)
            print(f"| {points:.1f} points better; 228 answers, {size} test pictures | {share:.0%} |", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())

"""Does the gate err? Simulated on a model's real predictions: false acceptances, and gains that it misses.

    python -m benchmarks.gate [--model DIR] [--data DIR] [--other DIR] [--rounds N] [--years N] [--cache FILE]
                            [--only TABLE]

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
from pathlib import Path

import numpy as np

from benchmarks.gate.challengers import refits
from benchmarks.gate.rates import (
    PER_WEEK,
    WEEKS,
    false_acceptance,
    false_acceptance_in_a_year,
    false_acceptance_of_leaning,
    power,
    power_of_letting_through,
    power_of_small_tests,
)
from benchmarks.gate.world import World, collect

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
_KINDS_ROUNDS = 300


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("model"), help="model folder (%(default)s)")
    parser.add_argument("--data", default=str(SHARED / "cats_vs_dogs"), help="what it was made from (%(default)s)")
    parser.add_argument(
        "--other", default=str(SHARED / "wild"), help="other pictures with the same labels (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=1000, help="challengers that learned nothing (%(default)s)")
    parser.add_argument("--years", type=int, default=100, help="of weekly looks (%(default)s)")
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
        once = false_acceptance_of_leaning(kept, pool, twins, rounds)
        print(f"| learned to say one label more often; 100 answers, all of that label | {once:.1%} |", flush=True)
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

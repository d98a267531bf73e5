"""`make bench`: everything that is measured beside its peers, in one run; the results go into `RESULTS.md`.

    python -m benchmarks [--quick] [--no-write] [NAME ...]

Exits with 1 where an answer is not what it should be.
"""

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.report import Section, write

NAMES = ("serving", "startup", "folder", "decode", "journal", "page_weight", "slow_network")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(NAMES)}; all if none")
    parser.add_argument("--quick", action="store_true", help="only to see that it runs; nothing is written")
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md as it is")
    parser.add_argument("--model", type=Path, default=Path("model"), help="model folder (%(default)s)")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the servers must not be left behind
    sections = []
    for name in arguments.names or NAMES:
        section: Section = importlib.import_module(f"benchmarks.speed.{name}").measure(
            arguments.model.resolve(), quick=arguments.quick
        )
        print(f"\n{section.markdown()}\n", flush=True)
        sections.append(section)
        if not (arguments.quick or arguments.no_write):
            write(section)
    failures = [failure for section in sections for failure in section.failures]
    print("\n".join(failures) or "all answers were right", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Tries to lose feedback by power cuts: `python -m benchmarks.endurance.power_cut --rows 10000 --cuts 40`.

Two processes append rows and say which were acknowledged, with a preloaded library (`power_cut.c`) that keeps what was
flushed to the disk apart from what was only written. A power cut kills both and leaves what was flushed. Every row that
was acknowledged must be there, with its picture, in a sound file. To show that the library would notice, the same is
done with `PRAGMA synchronous = NORMAL`, which doesn't flush each commit: that must lose rows.
"""

import argparse
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.endurance.torture import ROOT, make_row
from catdog.errors import CatdogError
from feedback.journal import database
from feedback.journal.journal import JOURNAL_FILE, Journal

SOURCE = Path(__file__).with_suffix(".c")
_WRITERS = 2


@dataclass
class Outcome:
    """What came of some power cuts."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    """From the id of each row to the hash of its picture."""
    lost: set[str] = field(default_factory=set)
    damaged: int = 0
    """Cuts after which the file was not sound."""


def build(folder: Path) -> Path | None:
    """Compile the library; None where that is not possible."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "power_cut.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
    return None if done.returncode else library


@dataclass(frozen=True)
class Machine:
    """What loses its power."""

    library: Path
    """What `build` made."""
    data: Path
    """The folder as its programs see it."""
    disk: Path
    """The same as it will be found after a cut."""
    mode: str = "FULL"
    """SQLite's `synchronous`."""


def cut_power(library: Path, folder: Path, *, rows: int, cuts: int, mode: str = "FULL") -> Outcome:
    """Append rows, and cut the power now and then.

    Args:
        library: What `build` made.
        folder: For all files.
        rows: How many are acknowledged before the last cut, at least.
        cuts: How many there are.
        mode: SQLite's `synchronous`.
    """
    rng, outcome = random.Random(0), Outcome()
    data, disk = folder / "data", folder / "disk"
    disk.mkdir(parents=True)
    machine = Machine(library, data.resolve(), disk.resolve(), mode)
    for number in range(cuts):
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(disk, data)
        for draft in disk.glob(".*"):
            draft.unlink()
        wanted = rows * (number + 1) // cuts - len(outcome.acknowledged)
        outcome.acknowledged |= _write_until_cut(machine, max(wanted, 1), rng)
        _judge(disk, folder / "judged", outcome)
    return outcome


def _write_until_cut(machine: Machine, wanted: int, rng: random.Random) -> dict[str, str]:
    """The rows that two processes acknowledge before they are killed, at some moment after there are enough."""
    preloaded = {"LD_PRELOAD": str(machine.library), "CUT_FROM": str(machine.data), "CUT_TO": str(machine.disk)}
    command = [sys.executable, "-m", "benchmarks.endurance.power_cut", "--write", str(machine.data), machine.mode]
    read, written = os.pipe()
    writers = [
        subprocess.Popen([*command, str(rng.random())], cwd=ROOT, env=os.environ | preloaded, stdout=written)
        for _ in range(_WRITERS)
    ]
    os.close(written)
    told = {}
    with os.fdopen(read, "rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                row_id, sha256 = line.decode().split()
                told[row_id] = sha256
            if len(told) == wanted:
                time.sleep(rng.uniform(0, 0.01))  # in the middle of something
                for writer in writers:
                    writer.kill()
    for writer in writers:
        writer.wait()
    return told


def _judge(disk: Path, copy: Path, outcome: Outcome) -> None:
    """Open what the disk has, as after a restart, and look for every row that was acknowledged."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(disk, copy, ignore=shutil.ignore_patterns(".*"))
    there: dict[str, str] = {}
    try:
        with Journal.open(copy) as journal:
            there = {row.id: row.image_sha256 for row in journal.rows()}
        with closing(sqlite3.connect(copy / JOURNAL_FILE)) as db:
            outcome.damaged += database.damage(db) != ""
    except CatdogError as error:
        print(error, file=sys.stderr)
        outcome.damaged += 1
    outcome.lost |= {row_id for row_id, sha in outcome.acknowledged.items() if there.get(row_id) != sha}


def write(data: Path, mode: str, seed: float) -> None:
    """Append rows until killed, and say so of each once it is acknowledged."""
    connect = database.connect

    def connect_in_mode(path: Path) -> sqlite3.Connection:
        db = connect(path)
        db.execute(f"PRAGMA synchronous = {mode}")
        return db

    database.connect = connect_in_mode
    rng = random.Random(seed)
    with Journal.open(data) as journal:
        while True:
            row = make_row(rng)
            saved = journal.append(row)
            os.write(sys.stdout.fileno(), f"{saved.id} {row.image_sha256}\n".encode())


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance.power_cut", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000, help="how many at least (default: %(default)s)")
    parser.add_argument("--cuts", type=int, default=40, help="of the power (default: %(default)s)")
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.write:
        folder, mode, seed = arguments.write
        write(Path(folder), mode, float(seed))
    with tempfile.TemporaryDirectory(prefix="power-cut-") as name:
        return _both(Path(name), arguments.rows, arguments.cuts)


def _both(folder: Path, rows: int, cuts: int) -> int:
    """With and without flushing: nothing may be lost, and something must."""
    library = build(folder)
    if library is None:
        print("power cuts: skipped, as there is no C compiler, or this is not Linux")
        return 0
    kept = cut_power(library, folder / "FULL", rows=rows, cuts=cuts)
    print(
        f"{cuts} power cuts: {len(kept.lost)} of {len(kept.acknowledged)} acknowledged rows lost, "
        f"{kept.damaged} files damaged"
    )
    control = cut_power(library, folder / "NORMAL", rows=max(1, rows // 20), cuts=2, mode="NORMAL")
    print(
        f"negative control (synchronous = NORMAL), 2 power cuts: {len(control.lost)} of "
        f"{len(control.acknowledged)} lost"
    )
    return int(bool(kept.lost or kept.damaged or not control.lost))


if __name__ == "__main__":
    sys.exit(main())

"""Reviewing 100,000 rows: `python -m benchmarks.speed.review`; the queue, its memory, and a page of `/admin`.

The rows are made up: of each kind of picture that people send again and again a share, and each kind alone, since the
groups of near-identical pictures cost most where thousands look alike.
"""

import argparse
import hashlib
import json
import multiprocessing
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import uuid_utils

from catdog.cli import run
from feedback.journal.journal import Journal
from feedback.journal.tables import _INSERT, _record
from feedback.review.review import Review
from feedback.row import FeedbackRow, Source
from web.admin.sessions import Session
from web.admin.view import AdminView, Query

_LABELS = ("cat", "dog")
_ANY, _RETAKEN, _NOISE = 0.5, 0.01, 0.03
_JPEG = b"\xff\xd8\xff\xd9"
KINDS = ("different", "one picture", "retakes", "black frames", "all of these")
"""Pictures of anything, one example photo, near-duplicates of a hundred, and hashes that are nearly all zeros."""


def main(argv: Sequence[str]) -> int:
    """Measure each kind in a process of its own, so that its memory can be told."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.review", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, metavar="N")
    rows = parser.parse_args(argv).rows
    print("| rows about | rows | groups | queue, s (processor) | again, s | page of /admin, s | MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    context = multiprocessing.get_context("spawn")
    for kind in KINDS:
        process = context.Process(target=_measure, args=(kind, rows))
        process.start()
        process.join()
        if process.exitcode:
            return 1
    return 0


def _measure(kind: str, n: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Journal.open(Path(folder)) as journal:
        _fill(journal, kind, n)
        review = Review(journal)
        wall, processor = time.perf_counter(), time.process_time()
        entries = review.queue()
        first = f"{time.perf_counter() - wall:.1f} ({time.process_time() - processor:.1f})"
        wall = time.perf_counter()
        review.queue()
        again = time.perf_counter() - wall
        wall = time.perf_counter()
        AdminView("Cat or dog?").queue(review.queue(), Query(), session=Session("bench", "csrf", 0.0), base="/admin")
        page = time.perf_counter() - wall
        groups = len({entry.group for entry in entries})
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"| {kind} | {len(entries):,} | {groups:,} | {first} | {again:.2f} | {page:.2f} | {peak:.0f} |", flush=True
        )


def _fill(journal: Journal, kind: str, n: int) -> None:
    """Write the rows as they are: what is looked up for each when it comes takes far longer, and is not measured."""

    def insert_all(db: sqlite3.Connection) -> None:
        db.executemany(_INSERT, ((*_record(row), b"", None) for row in _rows(kind, n)))
        db.execute("INSERT INTO pictures (seq, jpeg) SELECT seq, ? FROM rows", (_JPEG,))

    journal.transact(insert_all, failure="The rows were not written: {}.")


def _rows(kind: str, n: int) -> Iterator[FeedbackRow]:
    random = np.random.default_rng(0)
    now = datetime.now(UTC)
    for number, phash in enumerate(_hashes(kind, n, random)):
        probability = float(random.uniform(0.5, 1))
        yield FeedbackRow(
            id=str(uuid_utils.uuid7()),
            request_id=f"{number:032x}",
            created_at=now - timedelta(seconds=n - number),
            image=_JPEG,
            image_sha256=hashlib.sha256(phash.encode()).hexdigest(),
            image_phash=phash,
            predicted_label="cat",
            verdict="cat",
            labels=_LABELS,
            probabilities=(probability, 1 - probability),
            corrected_label=_LABELS[number % 2],
            model_id="bench",
            model_revision="local-0123456789ab",
            source=Source.UPLOAD,
            client=f"{number // 3:016x}",
            extra=json.dumps({"neither_score": probability}),
        )


def _hashes(kind: str, n: int, random: np.random.Generator) -> list[str]:
    if kind == "all of these":
        parts = [_hashes(each, n // 4, random) for each in KINDS[:-1]]
        return [phash for each in zip(*parts, strict=True) for phash in each]
    if kind == "retakes":
        bits = _bits(100, _ANY, random)[random.integers(0, 100, n)] ^ _bits(n, _RETAKEN, random)
    elif kind == "one picture":
        bits = np.repeat(_bits(1, _ANY, random), n, axis=0)
    else:
        bits = _bits(n, _NOISE if kind == "black frames" else _ANY, random)
    return _hexadecimal(bits)


def _bits(n: int, share: float, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Of n hashes, each bit set with a probability of `share`."""
    return random.random((n, 256)) < share


def _hexadecimal(bits: npt.NDArray[np.bool_]) -> list[str]:
    return [row.tobytes().hex() for row in np.packbits(bits, axis=1)]


if __name__ == "__main__":
    sys.exit(run(main))

"""Keeping feedback: the journal beside Gradio's CSVLogger, with few rows and with a million; and POST /feedback."""

import contextlib
import csv
import io
import math
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.harness.pictures import jpeg, photos, usual, written
from benchmarks.harness.report import Panel, Section, circumstances, spread, table
from benchmarks.harness.servers import ours, start
from catdog.images.decode import decode_image
from catdog.model.model import Model
from feedback.journal.journal import JOURNAL_FILE, Journal
from feedback.row import FeedbackRow, Source, new_row

NAME = "journal"
_OURS = "journal"
_THREADS = 16
_SMALL_SIDE = 96
"""Pixels of a picture whose JPEG has about 2 kB."""
_GOAL_PER_S = 500.0
_FAST = "as fast as it goes"
_COMMIT_BYTES = 32_000
"""What a commit of a few rows adds to SQLite's log."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to do."""

    sizes: Sequence[int]
    rounds: int
    appends: int
    paced: int
    flags: int
    seconds: float


FULL = Effort(sizes=(1_000, 1_000_000), rounds=5, appends=3000, paced=2000, flags=16, seconds=6.0)
QUICK = Effort(sizes=(100, 1_000), rounds=1, appends=32, paced=16, flags=2, seconds=0.5)


@dataclass(frozen=True, slots=True)
class Kept:
    """What keeping some rows took."""

    rows_per_s: float
    median_ms: float
    p99_ms: float


def measure(model: Path, *, quick: bool) -> Section:
    """Measure both, and the route."""
    effort = QUICK if quick else FULL
    about = (
        f"{_THREADS} threads at a time, prepared pictures of about 2 kB; the journal's rows are on the disk when the "
        "call returns (fsync), CSVLogger's are not."
    )
    lines = [circumstances(), "", about, ""]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = {**_journals(Path(folder), effort, model), **_csv_loggers(Path(folder), effort)}
    rows = [
        [name, f"{size:,}", how, spread([each.rows_per_s for each in kept], 1 if name != _OURS else 0),
         spread([each.median_ms for each in kept]), spread([each.p99_ms for each in kept])]
        for (name, size, how), kept in found.items()
    ]  # fmt: skip
    lines += table(["", "rows that are there", "asked for", "rows/s", "median ms", "p99 ms"], rows)
    lines += [
        "",
        (
            "Goals: at least 500 rows/s, p99 at most 20 ms, and no slower with a million rows. What is asked for at a "
            f"steady rate is timed from when it was due. {_flushing()}"
        ),
        "",
    ]
    rates = {
        f"{name}\n{size:,} rows": [each.rows_per_s for each in kept]
        for (name, size, how), kept in found.items()
        if how == _FAST
    }
    panels = [Panel("rows kept a second", rates)]
    return Section(NAME, "Keeping feedback", [*lines, *_route(model, effort)], panels=panels)


def _journals(folder: Path, effort: Effort, model: Path) -> dict[tuple[str, int, str], list[Kept]]:
    """Journals of all sizes, in turns."""
    each = effort.appends + effort.paced
    found: dict[tuple[str, int, str], list[Kept]] = {}
    with ExitStack() as opened:
        journals = {size: opened.enter_context(_filled(folder / str(size), size, model)) for size in effort.sizes}
        for number in range(effort.rounds):
            rows = _rows(model, each, seed=number + 1)
            for size, journal in journals.items():
                fast = _in_threads(journal.append, rows[: effort.appends])
                paced = _in_threads(journal.append, rows[effort.appends :], per_s=_GOAL_PER_S)
                for how, kept in ((_FAST, fast), (f"{_GOAL_PER_S:.0f}/s", paced)):
                    found.setdefault((_OURS, size, how), []).append(kept)
                    print(f"round {number}: journal, {size} rows, {how}: {kept}", flush=True)
    for size in effort.sizes:
        with closing(sqlite3.connect(folder / str(size) / JOURNAL_FILE)) as db:
            (there,) = db.execute("SELECT count(*) FROM rows").fetchone()
        if there != size + effort.rounds * each:
            raise SystemExit(f"journal: {there} rows are there, not {size + effort.rounds * each}")
    return found


def _filled(folder: Path, size: int, model: Path) -> Journal:
    """A journal with so many rows."""
    folder.mkdir()
    with Journal.open(folder) as journal:
        journal.append(_rows(model, 1, seed=0)[0])
    _fill(folder / JOURNAL_FILE, size)
    return Journal.open(folder)


def _rows(model: Path, count: int, *, seed: int) -> list[FeedbackRow]:
    """Rows with pictures that differ, from those of other seeds as well."""
    served = Model.load(model)
    noise = np.random.default_rng(seed).integers(0, 60, (count, 6, 6, 3), dtype=np.uint8)
    pictures = [Image.fromarray(each).resize((_SMALL_SIDE, _SMALL_SIDE)) for each in noise]
    prediction = served.predict(pictures[0])
    return [
        new_row(
            prediction=prediction, picture=picture, corrected_label=served.labels[0],
            request_id=f"request-{seed}-{number}", source=Source.API, client=f"client-{number % 100}",
        )
        for number, picture in enumerate(pictures)
    ]  # fmt: skip


def _fill(path: Path, size: int) -> None:
    """Copy the only row until there are so many, with other ids: the indexes are as large as with real ones."""
    with closing(sqlite3.connect(path)) as db, db:
        columns = [name for _, name, *_ in db.execute("PRAGMA table_info(rows)") if name != "seq"]
        other = {"id": "hex(randomblob(16))", "request_id": "hex(randomblob(16))", "receipt_hash": "randomblob(32)",
                 "image_sha256": "lower(hex(randomblob(32)))", "client": "'client-' || (n.i % 100000)"}  # fmt: skip
        values = ", ".join(other.get(name, f'rows."{name}"') for name in columns)
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {size})"
        names = ", ".join(f'"{name}"' for name in columns)
        db.execute(f"INSERT INTO rows ({names}) {numbers} SELECT {values} FROM n, (SELECT * FROM rows LIMIT 1) AS rows")
        db.execute("INSERT INTO pictures (seq, jpeg) SELECT seq, randomblob(100) FROM rows WHERE seq > 1")


def _in_threads(keep: Callable[[FeedbackRow], object], rows: Sequence[FeedbackRow], per_s: float = math.inf) -> Kept:
    """Keep rows, so many a second at most."""

    def timed(number: int) -> float:
        due = begun + number / per_s
        time.sleep(max(0.0, due - time.perf_counter()))
        started = time.perf_counter() if per_s == math.inf else due
        keep(rows[number])
        return 1000 * (time.perf_counter() - started)

    with ThreadPoolExecutor(_THREADS) as pool:
        begun = time.perf_counter()
        taken = list(pool.map(timed, range(len(rows))))
        wall_s = time.perf_counter() - begun
    return Kept(len(rows) / wall_s, statistics.median(taken), float(np.percentile(taken, 99)))


def _flushing() -> str:
    """What the disk alone takes to make a commit's bytes durable."""
    flush = getattr(os, "fdatasync", os.fsync)  # what SQLite calls, where there is one
    taken = []
    with tempfile.NamedTemporaryFile(prefix="bench-") as file:
        for _ in range(300):
            file.write(bytes(_COMMIT_BYTES))
            file.flush()
            started = time.perf_counter()
            flush(file.fileno())
            taken.append(1000 * (time.perf_counter() - started))
    return (
        f"The disk alone, writing {_COMMIT_BYTES // 1000} kB and waiting for them, one after another: median "
        f"{statistics.median(taken):.1f} ms, p99 {np.percentile(taken, 99):.1f} ms."
    )


def _csv_loggers(folder: Path, effort: Effort) -> dict[tuple[str, int, str], list[Kept]]:
    """What Gradio's own flagging does, of the same components: a picture, a text, a label."""
    import gradio as gr  # noqa: PLC0415 - takes seconds

    with gr.Blocks(analytics_enabled=False):
        components = [
            gr.Image(type="filepath", label="image"),
            gr.Textbox(label="label"),
            gr.Textbox(label="corrected"),
        ]
    picture = folder / "picture.jpg"
    picture.write_bytes(jpeg(Image.effect_noise((_SMALL_SIDE, _SMALL_SIDE), 20).convert("RGB"), 50))
    flag = [{"path": str(picture), "orig_name": "a.jpg", "meta": {"_type": "gradio.FileData"}}, "dog", "cat"]
    found = {}
    for size in effort.sizes:
        logger, flagged = gr.CSVLogger(verbose=False), folder / f"flagged-{size}"
        logger.setup(components, str(flagged))
        with contextlib.redirect_stdout(io.StringIO()), ThreadPoolExecutor(_THREADS) as pool:
            logger.flag(flag)
            _fill_csv(next(flagged.rglob("*.csv")), size)
            kept = _timed_flags(logger, flag, pool, effort.flags)
        print(f"CSVLogger, {size} rows: {kept}", flush=True)
        found["CSVLogger", size, _FAST] = [kept]
    return found


def _timed_flags(logger: "gr.CSVLogger", flag: Sequence[object], pool: ThreadPoolExecutor, count: int) -> Kept:  # type: ignore[name-defined] # noqa: F821
    def once(_: int) -> float:
        started = time.perf_counter()
        logger.flag(list(flag))
        return 1000 * (time.perf_counter() - started)

    started = time.perf_counter()
    taken = list(pool.map(once, range(count)))
    return Kept(count / (time.perf_counter() - started), statistics.median(taken), float(np.percentile(taken, 99)))


def _fill_csv(path: Path, size: int) -> None:
    with path.open(newline="") as file:
        row = list(csv.reader(file))[1]
    line = io.StringIO()
    csv.writer(line).writerow(row)
    with path.open("a") as file:
        file.writelines(line.getvalue() for _ in range(size - 1))


def _route(model: Path, effort: Effort) -> list[str]:
    """`POST /feedback` with real pictures that are sent again: decoded, classified, compressed, kept."""
    pictures = [usual(photo.image) for photo in photos(64)]
    label = Model.load(model).labels[0]
    decode_image(pictures[0])
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        paths = written(pictures, Path(name) / "photos")
        server = start(ours(model, Path(name)), pictures[0])
        try:
            server.open_page()
            server.load(8, effort.seconds / 4, paths, path="/feedback", label=label)
            load = server.load(8, effort.seconds, paths, path="/feedback", label=label)
        finally:
            server.stop()
    taken = load.latencies_ms
    return [
        (
            f"`POST /feedback` with pictures of 34 kB, 8 clients: {len(taken) / load.wall_s:.0f}/s, median "
            f"{statistics.median(taken):.0f} ms, p99 {np.percentile(taken, 99):.0f} ms, {load.errors} errors."
        )
    ]

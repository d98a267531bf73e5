"""A folder of 1,000 photos: `python -m catdog predict` beside the image-classification pipeline of transformers."""

import csv
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.harness.pictures import ROOT, photos, usual, written
from benchmarks.harness.report import Section, circumstances, ratios, spread, table
from catdog.images.decode import decode_image
from catdog.model.model import Model
from catdog.model.preprocessing import preprocess

NAME = "folder"
_PHOTOS, _FEW = 1000, 4
_ROUNDS = 2
_BATCH = 8
_CLOSE = 0.01
_OURS, _PIPELINE = "catdog predict", f"transformers pipeline, batches of {_BATCH}"


def measure(model: Path, *, quick: bool) -> Section:
    """Run both on the same folder, in turns."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = photos(_FEW if quick else _PHOTOS)
            paths = written(list(pool.map(lambda photo: usual(photo.image), found)), Path(name) / "photos")
        one = written([paths[0].read_bytes()], Path(name) / "one")
        commands = {
            _OURS: ["-m", "catdog", "predict", "--format", "csv", str(paths[0].parent)],
            _PIPELINE: ["-m", "benchmarks.peers.pipeline_folder", str(model), str(paths[0].parent), str(_BATCH)],
        }
        return _compare(model, commands, paths, one[0].parent, rounds=1 if quick else _ROUNDS)


def bound_s(model: Path, paths: Sequence[Path], *, resamples: bool = False) -> float:
    """Seconds for decoding and network alone, a thread a core; with the resampling between them, if asked for."""
    served = Model.load(model)
    spec = served.metadata.preprocessing
    pixels = preprocess(decode_image(paths[0].read_bytes()), spec)

    def once(path: Path) -> None:
        image = decode_image(path.read_bytes())
        served.predict_batch([preprocess(image, spec) if resamples else pixels])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started = time.perf_counter()
        list(pool.map(once, paths))
        return time.perf_counter() - started


def _compare(model: Path, commands: dict[str, list[str]], paths: Sequence[Path], one: Path, *, rounds: int) -> Section:
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    starts, bounds, with_resampling, outputs = [], [], [], {}
    for number in range(rounds):
        for name, command in commands.items():
            taken, outputs[name] = _run(command, model)
            seconds[name].append(taken)
            print(f"round {number}: {name} {taken:.1f} s", flush=True)
        starts.append(_run([*commands[_OURS][:-1], str(one)], model)[0])
        bounds.append(bound_s(model, paths))
        with_resampling.append(bound_s(model, paths, resamples=True))
    rows = [[name, spread(each), f"{len(paths) / statistics.median(each):.0f}",
             f"{spread(ratios(seconds[_OURS], each), 2)}x"] for name, each in seconds.items()]  # fmt: skip
    working = [whole - start for whole, start in zip(seconds[_OURS], starts, strict=True)]
    share = [bound / taken for bound, taken in zip(bounds, working, strict=True)]
    whole = [bound / taken for bound, taken in zip(bounds, seconds[_OURS], strict=True)]
    lines = [
        circumstances(),
        "",
        (
            f"{len(paths)} JPEGs of 500 x 375, start of the process included. Goals: 80 % of the bound, 3x the "
            'pipeline. Ours also decides between "neither" and the labels, with a second branch.'
        ),
        "",
        *table(["", "seconds", "photos/s", "against ours"], rows),
        "",
        (
            f"Bound, decoding and the network alone on these cores: {spread(bounds)} s. Of it, ours reaches "
            f"{spread([100 * each for each in whole], 0)}%, and {spread([100 * each for each in share], 0)}% once it "
            f"has started (which takes {spread(starts)} s). With the resampling between the two, which no answer can "
            f"do without, it is {spread(with_resampling)} s."
        ),
    ]
    return Section(NAME, "A folder of photos", lines, _differences(outputs))


def _run(command: Sequence[str], model: Path) -> tuple[float, str]:
    environment = {**os.environ, "CATDOG_MODEL": str(model), "HF_HUB_OFFLINE": "1"}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started, done.stdout


def _differences(outputs: dict[str, str]) -> list[str]:
    """Photos about which the two do not say the same."""
    told = {
        row["path"]: (row["label"], float(row["confidence"])) for row in csv.DictReader(io.StringIO(outputs[_OURS]))
    }
    problems = []
    for path, label, score in csv.reader(io.StringIO(outputs[_PIPELINE])):
        ours = told.get(path)
        if ours is None or ours[0] != label or abs(ours[1] - float(score)) > _CLOSE:
            problems.append(f"folder: {Path(path).name} is {ours}, the pipeline says {label} {score}")
    return problems

"""`POST /predict` beside the servers that a user would otherwise run: one client, 32 clients, photos of a phone.

All servers are started once and have their turns, round by round; the others are paused meanwhile. Every answer is
compared with the reference: full decoding, timm's transform and eager torch.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness.load import Load
from benchmarks.harness.pictures import from_phone, photos, usual, written
from benchmarks.harness.report import Panel, Section, circumstances, ratios, spread, table
from benchmarks.harness.servers import Command, Server, all_started, handwritten, litserve, ours
from benchmarks.peers.plain_classifier import PlainClassifier
from catdog.images.decode import decode_image
from catdog.model.model import Model
from catdog.model.preprocessing import preprocess

NAME = "serving"
_OURS = "catdog"
_CLOSE = 0.01
"""How far a probability may be from the reference; the ONNX file keeps its weights as 16-bit numbers."""
_CLOSE_REDUCED = 0.2
"""The same for photos that are decoded at a reduced scale; see `benchmarks.speed.decode` for accuracy."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked of each server."""

    title: str
    clients: int
    paths: Sequence[Path]
    tolerance: float
    goal: str


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure."""

    rounds: int
    seconds: float
    pictures: int


FULL, QUICK = Effort(rounds=5, seconds=3.0, pictures=16), Effort(rounds=1, seconds=0.5, pictures=2)


def measure(model: Path, *, quick: bool) -> Section:
    """Measure all servers."""
    effort = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        works = _works(folder, effort)
        cores = os.cpu_count() or 1
        commands = [ours(model, folder), handwritten(model), litserve(model, cores)]
        return compare(model, commands, works, effort)


def compare(model: Path, commands: Sequence[Command], works: Sequence[Work], effort: Effort) -> Section:
    """Each work by each server, in turns."""
    lines, failures = [circumstances(), ""], []
    panels: list[Panel] = []
    reference = PlainClassifier(model)
    with all_started(commands, works[0].paths[0].read_bytes()) as servers:
        for work in works:
            loads = {server.name: _warm(server, work, effort) for server in servers}
            bounds = []
            for number in range(effort.rounds):
                for server in servers:
                    loads[server.name].append(_load(server, work, effort.seconds))
                    print(f"{work.title}, round {number}: {server.name} {_told(loads[server.name][-1])}", flush=True)
                bounds.append(bound_ms(model, work))
            lines += _lines(work, loads, bounds)
            panels.append(_panel(work, loads))
            failures += _failures(work, loads, reference)
    lines += [f"- **{failure}**" for failure in failures]
    return Section(NAME, "POST /predict", lines, failures, panels)


def bound_ms(model: Path, work: Work) -> float:
    """Wall milliseconds a picture for decoding and network alone, on as many threads as there are clients and cores."""
    served = Model.load(model)
    pictures = [path.read_bytes() for path in work.paths]
    tensor = preprocess(decode_image(pictures[0]), served.metadata.preprocessing)

    def once(data: bytes) -> None:
        decode_image(data)
        served.predict_batch([tensor])

    workers = min(work.clients, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(once, pictures))
        started = time.perf_counter()
        list(pool.map(once, pictures * 4))
        return 1000 * (time.perf_counter() - started) / (4 * len(pictures))


def _works(folder: Path, effort: Effort) -> list[Work]:
    found = photos(effort.pictures)
    small = written([usual(photo.image) for photo in found], folder / "usual")
    large = written([from_phone(photo.image) for photo in found[: max(1, effort.pictures // 4)]], folder / "phone")
    return [
        Work("34 kB JPEG of 500 x 375, one client", 1, small, _CLOSE, "median at most half of the hand-written server"),
        Work("the same, 32 clients", 32, small, _CLOSE, "at least 4x its requests a second, p99 at most 250 ms"),
        Work("JPEG of 12 megapixels, one client", 1, large, _CLOSE_REDUCED, "at least 5x faster than it"),
    ]


def _warm(server: Server, work: Work, effort: Effort) -> list[Load]:
    """Every picture once at least, so that nothing is measured for the first time."""
    _load(server, work, effort.seconds / 4)
    return []


def _load(server: Server, work: Work, seconds: float) -> Load:
    with server.running():
        return server.load(work.clients, seconds, work.paths)


def _told(load: Load) -> str:
    return f"median {statistics.median(load.latencies_ms):.1f} ms, {_rate(load):.1f}/s, {load.errors} errors"


def _rate(load: Load) -> float:
    return len(load.latencies_ms) / load.wall_s


def _lines(work: Work, loads: dict[str, list[Load]], bounds: Sequence[float]) -> list[str]:
    """One table: a row a server."""
    head = [
        "server",
        "median ms",
        "p99 ms",
        "requests/s",
        "CPU ms a request",
        "errors",
        "its median / ours",
        "our requests/s / its",
    ]
    rows = [_row(name, each, loads[_OURS]) for name, each in loads.items()]
    sending = max(load.cpu_s / load.wall_s for each in loads.values() for load in each)
    bound = (
        f"Bound, decoding and network alone on these cores: {spread(bounds)} ms a picture, "
        f"{1000 / statistics.median(bounds):.0f}/s. Sending took at most {100 * sending:.0f}% of one core."
    )
    return [f"**{work.title}** (goal: {work.goal})", "", *table(head, rows), "", bound, ""]


def _panel(work: Work, loads: dict[str, list[Load]]) -> Panel:
    """Latency of one client, throughput of many."""
    if work.clients == 1:
        return Panel(f"{work.title}: median ms", {name: _medians(each) for name, each in loads.items()})
    return Panel(f"{work.title}: requests/s", {name: list(map(_rate, each)) for name, each in loads.items()})


def _row(name: str, loads: Sequence[Load], our_loads: Sequence[Load]) -> list[str]:
    medians, rates = _medians(loads), [_rate(load) for load in loads]
    pooled = [each for load in loads for each in load.latencies_ms]
    return [
        name,
        spread(medians),
        f"{np.percentile(pooled, 99):.0f}",
        spread(rates),
        spread([1000 * load.server_cpu_s / len(load.latencies_ms) for load in loads]),
        str(sum(load.errors for load in loads)),
        f"{spread(ratios(_medians(our_loads), medians), 2)}x",
        f"{spread(ratios(rates, [_rate(load) for load in our_loads]), 2)}x",
    ]


def _medians(loads: Sequence[Load]) -> list[float]:
    return [statistics.median(load.latencies_ms) for load in loads]


def _failures(work: Work, loads: dict[str, list[Load]], reference: PlainClassifier) -> list[str]:
    expected = [reference.classify(path.read_bytes()) for path in work.paths]
    found = []
    for name, each in loads.items():
        told = {answer for load in each for answer in map(tuple, load.answers)}
        found += [f"{work.title}, {name}: {problem}" for problem in wrong(told, expected, work.tolerance)]
        if errors := sum(load.errors for load in each):
            found.append(f"{work.title}, {name}: {errors} requests failed")
    return [failure for failure in found if _OURS in failure]


def wrong(told: set[tuple[int, str]], expected: Sequence[dict[str, object]], tolerance: float) -> list[str]:
    """What is not as the reference says: another label, or a probability that is too far off."""
    problems = []
    for number, said in sorted(told):
        answer = json.loads(said) if said else {"label": None, "probabilities": {}}
        right = expected[number]
        if answer["label"] != right["label"]:
            problems.append(f"picture {number} is {answer['label']}, not {right['label']}")
        elif _distance(answer["probabilities"], right["probabilities"]) > tolerance:
            problems.append(f"picture {number} has other probabilities: {answer['probabilities']}")
    return problems


def _distance(one: dict[str, float], other: dict[str, float]) -> float:
    return max(abs(one[label] - other[label]) for label in other)

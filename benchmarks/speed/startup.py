"""From the start of the process to the first right answer, memory while serving, and the size of what is installed."""

import re
import tempfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks.harness.pictures import ROOT, photos, usual
from benchmarks.harness.report import Section, circumstances, ratios, spread, table
from benchmarks.harness.servers import Command, handwritten, litserve, ours, start

NAME = "startup"
_ROUNDS = 3
_PEERS_PACKAGES = ("fastapi", "uvicorn", "python-multipart", "pillow", "timm")
_WARM_REQUESTS = 20


def measure(model: Path, *, quick: bool) -> Section:
    """Start each server some times, in turns."""
    picture = usual(photos(1)[0].image)
    seconds: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    resident: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for number in range(1 if quick else _ROUNDS):
            for command in (ours(model, Path(name)), handwritten(model), litserve(model, 1)):
                first_s, mb, resident_mb = _started(command, picture)
                seconds.setdefault(command.name, []).append(first_s)
                memory.setdefault(command.name, []).append(mb)
                resident.setdefault(command.name, []).append(resident_mb)
                print(f"round {number}: {command.name} answers after {first_s:.2f} s, {mb:.0f} MB", flush=True)
    return Section(NAME, "Start, memory, size", [circumstances(), "", *_lines(seconds, memory, resident)])


def installed_mb(roots: Iterable[str]) -> float:
    """The files of these packages and of all that they need, in this environment."""
    return sum(_size_mb(name) for name in _closure(roots))


def _started(command: Command, picture: bytes) -> tuple[float, float, float]:
    server = start(command, picture)
    try:
        server.ask(picture, times=_WARM_REQUESTS)
        server.open_page()
        return server.first_answer_s, server.memory_mb(), server.resident_mb()
    finally:
        server.stop()


def _lines(
    seconds: dict[str, list[float]], memory: dict[str, list[float]], resident: dict[str, list[float]]
) -> list[str]:
    first = next(iter(seconds))
    rows = [
        [
            name,
            spread(each, 2),
            f"{spread(ratios(seconds[first], each), 2)}x",
            spread(memory[name], 0),
            spread(resident[name], 0),
        ]
        for name, each in seconds.items()
    ]
    pins = re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    ours_mb, theirs_mb = installed_mb(pins), installed_mb(_PEERS_PACKAGES)
    return [
        (
            "Goals: first answer in at most half the time of the hand-written server; at most 350 MB; 0.6x installed. "
            f"Memory: of all processes (proportional set size) after {_WARM_REQUESTS} pictures, of ours with its page."
        ),
        "",
        *table(
            ["server", "first answer, s", "against ours", "MB while serving", "resident MB of the main process"], rows
        ),
        "",
        (
            f"Installed (files of all packages, without Python): requirements.txt {ours_mb:.0f} MB, what the "
            f"hand-written server needs {theirs_mb:.0f} MB, ratio {ours_mb / theirs_mb:.2f}. That is with the build of "
            "torch that is installed here; the usual one for Linux brings CUDA and is several times as large."
        ),
    ]


def _closure(roots: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = [_normal(root) for root in roots]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        requirements = [Requirement(need) for need in needs]
        waiting += [
            _normal(each.name) for each in requirements if not each.marker or each.marker.evaluate({"extra": ""})
        ]
    return found


def _size_mb(name: str) -> float:
    paths = {Path(str(file.locate())) for file in distribution(name).files or ()}
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

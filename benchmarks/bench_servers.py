"""The servers that are measured: started, paused while another one has its turn, and stopped with all their children."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench_load import request_of
from benchmarks.bench_pictures import ROOT

_START_S, _STOP_S = 400.0, 20.0
_MANY = "100000000/minute"


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is started."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    port: int


@dataclass(slots=True)
class Server:
    """One that runs."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    first_answer_s: float
    """From the start of the process to its first answer of 200 to a picture."""

    def memory_mb(self) -> float:
        """Proportional set size of the process and all its children: what they share counts once."""
        return sum(map(_pss_mb, family(self.process.pid)))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it run while the block does; else it is paused."""
        os.killpg(self.process.pid, signal.SIGCONT)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGSTOP)

    def stop(self) -> None:
        """End it and its children."""
        for sent in (signal.SIGCONT, signal.SIGTERM):
            os.killpg(self.process.pid, sent)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(_STOP_S)


def ours(model: Path, folder: Path) -> Command:
    """This project, as a user starts it; only the limits are lifted that keep one client from having it all."""
    port = free_port()
    settings = {
        "HOST": "127.0.0.1", "PORT": str(port), "MODEL": str(model), "DATA_DIR": str(folder / f"data-{port}"),
        "RATE_LIMIT": _MANY, "FEEDBACK_LIMIT": _MANY, "FEEDBACK_PER_DAY": "100000000",
    }  # fmt: skip
    return Command("catdog", ["app.py"], {f"CATDOG_{name}": value for name, value in settings.items()}, port)


def handwritten(model: Path) -> Command:
    """FastAPI, Pillow, timm, eager torch."""
    port = free_port()
    return Command("FastAPI + timm", ["-m", "benchmarks.peers.handwritten", str(model), str(port)], {}, port)


def litserve(model: Path, workers: int) -> Command:
    """LitServe with the same classifier."""
    port = free_port()
    arguments = ["-m", "benchmarks.peers.litserve_app", str(model), str(port), str(workers)]
    return Command(f"LitServe, {workers} workers" if workers > 1 else "LitServe", arguments, {}, port)


def start(command: Command, picture: bytes) -> Server:
    """Start a server, and wait until it has classified a picture.

    Raises:
        SystemExit: it does not.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **command.environment}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command.arguments], cwd=ROOT, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while time.perf_counter() < started + _START_S and process.poll() is None:
        if _answers(command.port, picture):
            return Server(command.name, command.port, process, time.perf_counter() - started)
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    raise SystemExit(f"{command.name} did not start: {' '.join(command.arguments)}")


@contextmanager
def all_started(commands: Sequence[Command], picture: bytes) -> Iterator[list[Server]]:
    """Start servers one after another; each is paused at first."""
    servers: list[Server] = []
    try:
        for command in commands:
            servers.append(start(command, picture))
            with servers[-1].running():
                pass
        yield servers
    finally:
        for server in servers:
            server.stop()


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def family(pid: int) -> list[int]:
    """A process and all below it."""
    tasks = Path(f"/proc/{pid}/task")
    children = {int(child) for path in tasks.glob("*/children") for child in path.read_text().split()}
    return [pid, *(one for child in sorted(children) for one in family(child))]


def _answers(port: int, picture: bytes) -> bool:
    head, _, body = request_of(picture).partition(b"\r\n\r\n")
    kind = re.search(rb"Content-Type: (\S+; \S+)", head)
    assert kind is not None
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"http://127.0.0.1:{port}/predict", body, {"Content-Type": kind[1].decode()}
    )
    try:
        with urllib.request.urlopen(request, timeout=_START_S) as answer:  # noqa: S310
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, ConnectionError):
        return False


def _pss_mb(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0

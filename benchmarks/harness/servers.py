"""The servers that are measured: started, paused while another one has its turn, stopped with all their children."""

import contextlib
import json
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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.load import Load, request_of
from benchmarks.harness.pictures import ROOT

_START_S, _STOP_S = 400.0, 20.0
_MANY = "100000000/minute"
_BUSY = 503


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

    def load(
        self, clients: int, seconds: float, pictures: Sequence[Path], *, path: str = "/predict", label: str = ""
    ) -> Load:
        """Send pictures from a process of its own."""
        options = {"--port": self.port, "--clients": clients, "--seconds": seconds, "--path": path, "--label": label}
        told = [str(part) for option in options.items() for part in option]
        command = [sys.executable, "-m", "benchmarks.harness.load", *told, *map(str, pictures)]
        before = self._cpu_s()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return Load(**{**json.loads(done.stdout), "server_cpu_s": self._cpu_s() - before})

    def _cpu_s(self) -> float:
        return sum(map(_cpu_s, family(self.process.pid)))

    def memory_mb(self) -> float:
        """Of the process and all its children; what they share counts once (proportional set size)."""
        return sum(_rollup_mb(pid, "Pss") for pid in family(self.process.pid))

    def resident_mb(self) -> float:
        """Of the process alone, with what it shares."""
        return _rollup_mb(self.process.pid, "Rss")

    def ask(self, picture: bytes, *, times: int) -> None:
        """Let it classify a picture some times."""
        for _ in range(times):
            if not _answers(self.port, picture):
                raise SystemExit(f"{self.name} does not answer.")

    def open_page(self) -> None:
        """Ask for its page, if it has one: what that loads counts too."""
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/"):
            pass

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
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            for sent in (signal.SIGCONT, signal.SIGTERM):
                os.killpg(self.process.pid, sent)
            self.process.wait(_STOP_S)
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


def start(command: Command, picture: bytes | None) -> Server:
    """Start a server, and wait until it has classified a picture, or, without one, until it shows its page.

    Raises:
        SystemExit: it does not.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **command.environment}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command.arguments], cwd=ROOT, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    server = Server(command.name, command.port, process, first_answer_s=0.0)
    with ExitStack() as unless_started:
        unless_started.callback(server.stop)
        while time.perf_counter() < started + _START_S and process.poll() is None:
            if _shows(command.port) if picture is None else _answers(command.port, picture):
                unless_started.pop_all()
                server.first_answer_s = time.perf_counter() - started
                return server
            time.sleep(0.02)
    raise SystemExit(f"{command.name} did not start: {' '.join(command.arguments)}")


@contextmanager
def all_started(commands: Sequence[Command], picture: bytes) -> Iterator[list[Server]]:
    """Start servers one after another; each is paused at first."""
    servers: list[Server] = []
    try:
        for command in commands:
            servers.append(start(command, picture))
            servers[-1].open_page()  # ours builds it in the background, which must not go on while it is measured
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
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, {"Content-Type": kind[1].decode()})
    try:
        with urllib.request.urlopen(request, timeout=_START_S) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004
    except urllib.error.HTTPError as error:
        if error.code == _BUSY:
            return False
        raise SystemExit(f"A server answers {error.code}: {error.read().decode()[:500]}") from None
    except (urllib.error.URLError, ConnectionError):
        return False


def _shows(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=_START_S):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


def _cpu_s(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _rollup_mb(pid: int, kind: str) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(rf"^{kind}:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0

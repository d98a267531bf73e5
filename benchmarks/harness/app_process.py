"""The app as a process of its own, for measuring it from outside; on Linux."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NO_LIMITS = {
    "CATDOG_RATE_LIMIT": "100000000/minute",
    "CATDOG_FEEDBACK_LIMIT": "100000000/minute",
    "CATDOG_FEEDBACK_PER_DAY": "100000000",
}
"""Settings for one client that asks more than a person would."""

_START_S, _STOP_S = 120.0, 60.0


@dataclass(frozen=True)
class State:
    """What a process holds."""

    resident_mb: float
    files: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> "State":
        """What it holds now."""
        return cls(
            status_of(pid, "VmRSS") / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir())), status_of(pid, "Threads")
        )


@dataclass(frozen=True)
class App:
    """A running app."""

    port: int
    pid: int
    log: Path
    temporary: Path
    """Its folder of temporary files, and nobody else's."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def peak_mb(self) -> float:
        """The most resident memory it has held since its start or `forget_peak`."""
        return status_of(self.pid, "VmHWM") / 1024

    def forget_peak(self) -> None:
        """Count the peak from here."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")  # see proc(5)


def status_of(pid: int, field: str) -> int:
    """A number from a process's status; memory is in kB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (value,) = re.findall(rf"^{field}:\s+(\d+)", status, re.MULTILINE)
    return int(value)


def cpu_s(pid: int) -> float:
    """How many seconds of processors a process has used."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    user, system = after_name[11:13]  # see proc(5)
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_app(folder: Path, settings: Mapping[str, str]) -> Iterator[App]:
    """Run `python app.py` on a free port until the block ends, as a user starts it; its files lie in `folder`."""
    log, temporary = folder / "log", folder / "tmp"
    temporary.mkdir()
    own = {"CATDOG_HOST": "127.0.0.1", "CATDOG_PORT": "0", "CATDOG_DATA_DIR": str(folder / "data")}
    environment = os.environ | own | dict(settings) | {"TMPDIR": str(temporary)}
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        yield App(_port(log, process), process.pid, log, temporary)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_S)


def _port(log: Path, process: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        if match := re.search(r"Ready on http://\S+:(\d+)", log.read_text()):
            return int(match[1])
        time.sleep(0.05)
    raise SystemExit(f"The app did not start:\n{log.read_text()}")

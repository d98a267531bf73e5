"""Commands and servers, run as anybody would run them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.narrator import BrokenClaimError, Narrator

ROOT = Path(__file__).resolve().parents[1]
_POLL_S = 0.2
_STOP_S = 60.0
_TOLD_LINES = 12


@dataclass(frozen=True, slots=True)
class Shell:
    """Where commands run: an environment with these settings and no others of ours."""

    narrator: Narrator
    logs: Path
    settings: Mapping[str, str]
    """Part of every command's environment; not shown."""

    def run(self, *arguments: object, expected: int = 0, **settings: str) -> str:
        """Run `python -m ARGUMENTS...` to its end and return its stdout.

        Raises:
            BrokenClaimError: it ended with another exit code than expected.
        """
        command = [str(argument) for argument in arguments]
        self.narrator.command(["python", "-m", *command], settings)
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=ROOT, env=self._environment(settings), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        with (self.logs / "commands.log").open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
        if done.returncode != expected:
            self.narrator.tell("\n".join(done.stderr.splitlines()[-_TOLD_LINES:]))
        self.narrator.claim(f"exit code {expected}", held=done.returncode == expected)
        return done.stdout

    @contextmanager
    def serving(self, name: str, *command: str, ready: str, **settings: str) -> Iterator["Server"]:
        """Run `python COMMAND...` until the block ends; group 1 of `ready`, looked for in the log, is its address.

        Raises:
            BrokenClaimError: it did not start, or did not stop cleanly.
        """
        self.narrator.command(["python", *command], settings)
        log = self.logs / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=self._environment(settings), stdout=out, stderr=out
            )
        try:
            wait_for(lambda: re.search(ready, log.read_text()) or process.poll() is not None, f"{name} to start")
            found = re.search(ready, log.read_text())
            if not found:
                raise BrokenClaimError(f"{name} did not start: {log.read_text()[-2000:]}")
            yield Server(found[1], process, log)
        finally:
            _stop(process)
        self.narrator.claim(f"{name} stopped cleanly", held=process.returncode in (0, -signal.SIGTERM))

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("CATDOG_", "HF_", "SPACE_ID"))
        }
        return {**kept, **self.settings, **settings}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def runs(self) -> bool:
        """Whether it is still the process that was started."""
        return self.process.poll() is None


def wait_for(found: Callable[[], object], what: str, *, deadline_s: float = 180.0) -> None:
    """Poll until something is there.

    Raises:
        BrokenClaimError: it never is.
    """
    end = time.monotonic() + deadline_s
    while not found():
        if time.monotonic() > end:
            raise BrokenClaimError(f"Waited {deadline_s:.0f} s for {what}, in vain.")
        time.sleep(_POLL_S)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""Following a training run: what went in, every epoch, and what came out; here without any tool that keeps it."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from catdog.settings import PROJECT_ROOT


@dataclass(frozen=True, slots=True)
class RunInputs:
    """What a run is made from."""

    name: str
    command: str
    parameters: Mapping[str, Any]
    """Names to values; may be nested."""
    data: str
    """The data set's name."""
    data_revision: str | None
    data_sha256: str
    """Of all pictures with their labels."""
    note: Path | None = None
    """A file that says which run this is, so that an interrupted one goes on as the same."""


class TrackedRun(Protocol):
    """One run that is followed."""

    def epoch(self, entry: Mapping[str, float]) -> None:
        """Note an entry of the history: `epoch`, and any figures."""

    def finish(self, folder: Path) -> None:
        """Note a complete model folder."""


class Tracker(Protocol):
    """Where runs are kept."""

    def connect(self) -> None:
        """Make sure that runs can be kept, before hours of work.

        Raises:
            SettingsError: they cannot.
        """

    def run(self, inputs: RunInputs) -> AbstractContextManager[TrackedRun]:
        """Follow a run; it ends as finished, failed or killed, as the block does."""


class Untracked:
    """Keeps nothing: a tracker and a run in one."""

    def connect(self) -> None:
        """Nothing to do."""

    @contextmanager
    def run(self, _inputs: RunInputs) -> Iterator[TrackedRun]:
        """Follow nothing."""
        yield self

    def epoch(self, entry: Mapping[str, float]) -> None:
        """Note nothing."""

    def finish(self, folder: Path) -> None:
        """Note nothing."""


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as one level of text, `schedule.rate` for `{"schedule": {"rate": ...}}`."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat


def git_revision(root: Path = PROJECT_ROOT) -> str | None:
    """The commit of the code, with `-dirty` where files differ from it; None outside of a checkout."""
    describe = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        result = subprocess.run(describe, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()

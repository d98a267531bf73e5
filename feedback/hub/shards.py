"""Tries shards of the data set before anything here reads them: whoever can write to its repository is not trusted.

A small file may hold billions of values, or one of gigabytes, and its footer may lie about that. So shards are read
once in a process of its own (`python -m feedback.hub.shards`), with no secrets in its environment and with limits on
CPU time and memory: a hostile one costs that process and nothing else. What passed there costs no more here.
"""

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from catdog.errors import FeedbackError
from catdog.files import write_atomically

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MAX_SHARD_BYTES = 200_000_000
MAX_SHARDS = 50_000
_MAX_FOOTER_BYTES = 2_000_000
_MAX_COLUMNS, _MAX_ROW_GROUPS = 64, 2000
_MAX_GROUP_BYTES, _MAX_UNPACKED_BYTES = 100_000_000, 400_000_000
_LEAST_BYTES_A_ROW = 16  # ids and hashes are random: a row cannot be packed into less
_MAX_BATCH_BYTES = 64_000_000
_CPU_S, _CPU_S_A_MB = 3.0, 0.2
_WALL_S = 600.0
_MEMORY_BYTES = 250_000_000
_MOST_CRASHES = 5
"""Beyond so many, what was not tried yet counts as hostile, too: each costs seconds."""
_TRIED_FILE = "tried.json"
_TAIL = struct.Struct("<I4s")
_LIBRARY_ROOT = Path(__file__).resolve().parents[2]
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMPDIR", "LANG", "PYTHONHOME")

_TOO_COSTLY = "it takes too much memory or time to read"
_NOT_TRIED = "other files of the data set took too much memory or time to read, so it was not tried"


class TriedShards:
    """Which files of a folder were tried, so that each is tried once; it stays in the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _TRIED_FILE

    def problems(self, paths: Sequence[Path]) -> dict[Path, str]:
        """What is wrong with files of the folder; those that are fine are not in it."""
        known = self._read()
        marks = {path: self._mark(path) for path in paths}
        if new := [path for path, mark in marks.items() if mark not in known]:
            known |= {marks[path]: problem for path, problem in try_shards(new).items()}
            with suppress(OSError):  # they are tried again
                write_atomically(self._path, json.dumps(known).encode())
        return {path: known[mark] for path, mark in marks.items() if known[mark]}

    def _mark(self, path: Path) -> str:
        """What another file in its place has otherwise."""
        stat = path.stat()
        return f"{path.relative_to(self._folder).as_posix()} {stat.st_size} {stat.st_mtime_ns}"

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def try_shards(paths: Sequence[Path]) -> dict[Path, str]:
    """Read shards in a process with limits.

    Returns:
        For each what is wrong with it; empty if nothing is.

    Raises:
        FeedbackError: the process could not be started.
    """
    found: dict[Path, str] = {}
    waiting, crashes = list(paths), 0
    while waiting and crashes <= _MOST_CRASHES:
        said = _try_in_process(waiting)
        found.update(zip(waiting, said, strict=False))
        waiting = waiting[len(said) :]
        if waiting:  # the first of them ended the process
            found[waiting.pop(0)] = _TOO_COSTLY
            crashes += 1
    return {**found, **dict.fromkeys(waiting, _NOT_TRIED)}


def _try_in_process(paths: Sequence[Path]) -> list[str]:
    """What a process says about shards, up to the one that ended it."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }
    named = "".join(f"{json.dumps(str(path.resolve()))}\n" for path in paths)
    try:
        said = subprocess.run(
            [sys.executable, "-m", "feedback.hub.shards"],
            input=named.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
            cwd=_LIBRARY_ROOT,
            env=environment,
            timeout=_WALL_S,
        ).stdout
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
    except OSError as error:
        raise FeedbackError(f"The data set's files could not be tried ({error.strerror}).") from None
    return [str(json.loads(line)) for line in said.splitlines(keepends=True) if line.endswith(b"\n")]


def check_shard(path: Path) -> None:
    """Read one shard of rows or decisions from beginning to end, and check before that what it declares.

    Raises:
        FeedbackError: it is damaged, no shard of feedback, or far larger than one can be.
    """
    from feedback.hub.parquet import batches, read_decisions, read_rows, reading  # noqa: PLC0415 - pyarrow

    _check_footer_size(path)
    with reading(path) as file:
        _check_declared(path, file.metadata)
        for batch in batches(file):  # of all columns, whoever needs them
            if batch.nbytes > _MAX_BATCH_BYTES:
                raise _refused(path, "values that are too large")
        is_decisions = "row_id" in file.schema_arrow.names
    for _ in read_decisions(path) if is_decisions else read_rows(path):
        pass


def _check_footer_size(path: Path) -> None:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size > MAX_SHARD_BYTES:
            raise _refused(path, f"more than {MAX_SHARD_BYTES // 1_000_000} MB")
        file.seek(max(0, size - _TAIL.size))
        tail = file.read(_TAIL.size)
    if len(tail) == _TAIL.size and _TAIL.unpack(tail)[0] > _MAX_FOOTER_BYTES:
        raise _refused(path, "a footer that is too large")


def _check_declared(path: Path, declared: "pq.FileMetaData") -> None:
    if declared.num_columns > _MAX_COLUMNS or declared.num_row_groups > _MAX_ROW_GROUPS:
        raise _refused(path, f"more than {_MAX_COLUMNS} columns or {_MAX_ROW_GROUPS} groups of rows")
    groups = [declared.row_group(number) for number in range(declared.num_row_groups)]
    rows = max(declared.num_rows, sum(group.num_rows for group in groups))
    if rows * _LEAST_BYTES_A_ROW > path.stat().st_size:
        raise _refused(path, "more rows than its bytes can hold")
    sizes = [group.total_byte_size for group in groups]
    if max(sizes, default=0) > _MAX_GROUP_BYTES or sum(sizes) > _MAX_UNPACKED_BYTES:
        raise _refused(path, "values that are too large")


def _refused(path: Path, what: str) -> FeedbackError:
    return FeedbackError(f"The shard {path.name} has {what}. Delete it on the Hub.")


def _main(paths: Iterable[Path]) -> None:
    """Try shards within limits, and say of each what is wrong with it."""
    import pyarrow.parquet  # noqa: F401, PLC0415 - before the limits are set

    _limit_memory()
    for path in paths:
        _limit_time(_CPU_S + _CPU_S_A_MB * path.stat().st_size / 1e6)
        try:
            check_shard(path)
        except FeedbackError as error:
            said = str(error)
        else:
            said = ""
        print(json.dumps(said), flush=True)  # noqa: T201 - for the parent process


def _limit_memory() -> None:
    try:
        import resource  # noqa: PLC0415 - not on Windows, where only the time is limited
    except ImportError:
        return
    limits = {resource.RLIMIT_DATA: _data_bytes() + _MEMORY_BYTES, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    for kind, limit in limits.items():
        with suppress(ValueError, OSError):  # where there is a lower one
            resource.setrlimit(kind, (limit, limit))


def _data_bytes() -> int:
    """What this process has now of the memory that is limited; 0 where the system doesn't tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData:")), 0)


def _limit_time(cpu_s: float) -> None:
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_PROF, cpu_s)


if __name__ == "__main__":
    _main(Path(json.loads(line)) for line in sys.stdin)

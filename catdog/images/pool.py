"""Processes that decode pictures, so that a decoder that crashes, hangs or eats memory costs its own picture alone.

Small JPEG, PNG and WebP pictures are decoded in the caller's thread, which is faster. All others go to one of a few
processes, which are started when they are needed, and replaced after many pictures or one bad one.
"""

import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final, Self

from PIL import Image

from catdog import errors
from catdog.errors import ImageError, ImageTooLargeError, UnreadableImageError
from catdog.images.decode import DAMAGED, Photo
from catdog.images.worker import read_message, write_message

PROCESSES = min(2, os.cpu_count() or 1)
CPU_S = 2.0
"""Of processor time, for one picture."""
_WALL_S = 30.0  # of a decoder that waits for nothing; a busy machine may need long for 2 s of processor time
_MEMORY_BYTES = 300_000_000  # beside what a process holds when it starts
_PICTURES = 200
_RESIDENT_BYTES = 80_000_000  # whoever holds more when it is done is replaced
_START: Final = "from catdog.images.worker import main; main()"
_CODE = Path(__file__).resolve().parents[2]
_TOO_COSTLY = (
    "The image takes too long or too much memory to decode. Open it on your device and save it as JPEG, then send that."
)


class DecodingPool:
    """A few processes that decode. Safe to use from many threads; a picture waits until there is room for it."""

    def __init__(self, *, processes: int = PROCESSES, memory_bytes: int = 150_000_000, cpu_s: float = CPU_S) -> None:
        """Make a pool; processes start when they are needed.

        Args:
            processes: How many at most.
            memory_bytes: What their pictures may hold together; one that needs more is decoded alone.
            cpu_s: Processor time of one picture.
        """
        self._processes = processes
        self._memory_bytes = memory_bytes
        self._cpu_s = cpu_s
        self._changed = threading.Condition()
        self._idle: list[_Process] = []
        self._busy = 0
        self._held = 0
        self._is_open = True
        self._end_idle = weakref.finalize(self, _end_all, self._idle)

    def decode(self, photo: Photo) -> Image.Image:
        """Decode a photo: in this thread if it is plain, else in a process of its own.

        Raises:
            UnreadableImageError: it is damaged, or takes too long or too much memory.
            ImageTooLargeError: it is larger than its header said.
        """
        if photo.is_plain:
            return photo.decode()
        with self._room(4 * photo.pixels), self._process() as process:
            return process.decode(photo, self._cpu_s)

    def start(self) -> None:
        """Start one process ahead of the first picture."""
        with self._process():
            pass

    def stop(self) -> None:
        """End the processes; a picture that is being decoded is finished first."""
        with self._changed:
            self._is_open = False
        self._end_idle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @contextmanager
    def _room(self, held: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(
                lambda: self._busy < self._processes and (not self._held or self._held + held <= self._memory_bytes)
            )
            self._busy += 1
            self._held += held
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._held -= held
                self._changed.notify_all()

    @contextmanager
    def _process(self) -> Iterator["_Process"]:
        with self._changed:
            process = self._idle.pop() if self._idle else None
        process = process or _Process()
        try:
            yield process
        finally:
            with self._changed:
                keeps = self._is_open and process.is_good
                if keeps:
                    self._idle.append(process)
            if not keeps:
                process.end()


def _end_all(processes: list["_Process"]) -> None:
    while processes:
        processes.pop().end()


class _Process:
    """One process; for one thread at a time."""

    def __init__(self) -> None:
        self._pictures = 0
        self._resident = 0
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-c", _START],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment(),
            start_new_session=True,
        )  # fmt: skip
        assert self._child.stdin
        assert self._child.stdout
        self._requests, self._answers = self._child.stdin, self._child.stdout
        try:
            write_message(self._requests, {"memory_bytes": _MEMORY_BYTES})
        except OSError:
            self._child.kill()

    @property
    def is_good(self) -> bool:
        """Whether it may decode another picture."""
        is_fresh = self._pictures < _PICTURES and self._resident < _RESIDENT_BYTES
        return is_fresh and self._child.poll() is None

    def decode(self, photo: Photo, cpu_s: float) -> Image.Image:
        """Send one photo and wait for its pixels."""
        self._pictures += 1
        request = {"cpu_s": cpu_s, "side": photo.side, "limits": asdict(photo.limits)}
        watch = threading.Timer(_WALL_S, self._child.kill)
        watch.start()
        try:
            write_message(self._requests, request, photo.data)
            head, pixels = read_message(self._answers)
        except (OSError, EOFError, ValueError):
            self._child.kill()
            raise UnreadableImageError(_TOO_COSTLY) from None
        finally:
            watch.cancel()
        if "error" in head:
            raise _error(head["error"], head["detail"])
        self._resident = head["resident"]
        return Image.frombytes("RGB", tuple(head["size"]), pixels)

    def end(self) -> None:
        """Kill it and close its pipes."""
        self._child.kill()
        for pipe in (self._requests, self._answers):
            try:
                pipe.close()
            except OSError:  # what was not sent
                continue
        self._child.wait()


def _error(name: str, detail: str) -> ImageError:
    known = {each.__name__: each for each in (UnreadableImageError, ImageTooLargeError)}
    return known.get(name, errors.UnreadableImageError)(detail or DAMAGED)


def _environment() -> dict[str, str]:
    """Nothing of this process's environment but what finds libraries: a decoder must not find secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "HOME") if name in os.environ}
    paths = [str(_CODE), *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "1000000",  # large blocks go back to the system when they are freed
        "OPENBLAS_NUM_THREADS": "1",
    }

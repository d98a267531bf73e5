"""What visitors upload: a folder that empties itself, and the way from what a browser says of a file to its bytes."""

import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from catdog.errors import UnreadableImageError

log = logging.getLogger(__name__)

KEPT_S = 600.0
MAX_BYTES = 2_000_000_000
_LOOKED_AT_EVERY_S = 10.0
_PREFIX = "catdog-uploads-"
_LOCK = ".lock"
_BEING_MADE_S = 60.0


class Uploads:
    """The folder of uploads, of this process alone."""

    def __init__(self, folder: Path, *, max_bytes: int, most_bytes: int = MAX_BYTES) -> None:
        """Use a folder that exists, where `most_bytes` may lie.

        Of a file, at most `max_bytes` and one more are read: enough to refuse it.
        """
        self.folder = folder.resolve()
        self.most_bytes = most_bytes
        self._max_bytes = max_bytes

    def holds(self, path: str) -> bool:
        """Whether a path lies in the folder, wherever its links lead."""
        return "\0" not in path and Path(path).resolve().is_relative_to(self.folder)

    def read(self, file: Mapping[str, Any], *, refusal: str) -> bytes:
        """The bytes of an uploaded file.

        Args:
            file: Gradio's description of it.
            refusal: What to say of a path that was not uploaded, or is gone.

        Raises:
            UnreadableImageError: it was not uploaded, or is gone.
        """
        path = file.get("path")
        if not isinstance(path, str) or not self.holds(path):
            raise UnreadableImageError(refusal)
        try:
            with Path(path).open("rb") as opened:
                size = os.fstat(opened.fileno()).st_size  # a buffer for the most would stay behind, cut to what came
                return opened.read(min(size, self._max_bytes + 1))
        except OSError:
            raise UnreadableImageError(refusal) from None


class UploadFolder:
    """A folder of this process alone, swept by a thread between `start` and `stop`."""

    def __init__(
        self,
        *,
        kept_s: float = KEPT_S,
        max_bytes: int = MAX_BYTES,
        every_s: float = _LOOKED_AT_EVERY_S,
        parent: Path | None = None,
    ) -> None:
        """Make the folder, and remove those that processes left that are no more.

        Args:
            kept_s: How old a file may become.
            max_bytes: How much may lie there; beyond that the oldest go early.
            every_s: How often to look.
            parent: Where to make the folder; the system's folder of temporary files if None.
        """
        self._parent = parent or Path(tempfile.gettempdir())
        self._kept_s = kept_s
        self.max_bytes = min(max_bytes, shutil.disk_usage(self._parent).total // 2)
        """How much may lie there: no more than half of what its file system has."""
        self._every_s = every_s
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._remove_abandoned()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._parent))
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        _try_lock(self._lock)

    def start(self) -> None:
        """Begin to sweep."""
        self._thread = threading.Thread(target=self._run, name="uploads", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Remove the folder with all that is in it."""
        self._stopped.set()
        if self._thread:
            self._thread.join()
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    def sweep(self) -> None:
        """Remove what is too old, and the oldest of what is too much."""
        oldest_first = sorted(_files(self.path))
        size, now = sum(bytes_ for _, bytes_, _ in oldest_first), time.time()
        for changed, bytes_, path in oldest_first:
            if now - changed <= self._kept_s and size <= self.max_bytes:
                break
            path.unlink(missing_ok=True)
            size -= bytes_
        for folder in self.path.iterdir():
            if folder.is_dir() and now - folder.stat().st_mtime > self._kept_s and not any(folder.iterdir()):
                folder.rmdir()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                self.sweep()
            except OSError as error:  # a file came or went meanwhile: the next round sees it
                log.debug("Uploads could not be swept: %s", error.strerror)

    def _remove_abandoned(self) -> None:
        for folder in self._parent.glob(f"{_PREFIX}*"):
            if _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Time of change, size and path of every file in a folder but its lock."""
    for path in folder.rglob("*"):
        if path.name != _LOCK and not path.is_dir():
            about = path.lstat()
            yield about.st_mtime, about.st_size, path


def _is_abandoned(folder: Path) -> bool:
    """Whether no process holds a folder's lock any more; another user's folder is none of ours."""
    try:
        if time.time() - folder.stat().st_mtime < _BEING_MADE_S:
            return False
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return False
    try:
        return _try_lock(lock)
    finally:
        os.close(lock)


def _try_lock(lock: int) -> bool:
    try:
        import fcntl  # noqa: PLC0415 - not on Windows: there, what a killed process left stays where it is
    except ImportError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

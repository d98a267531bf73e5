"""Files that are there completely or not at all, whenever the process or the machine stops."""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from catdog.files import write_atomically


def write_json(path: Path, value: object) -> None:
    """Replace a JSON file in one step. Only its owner can read it."""
    write_atomically(path, json.dumps(value, indent=1, sort_keys=True).encode(), mode=0o600)


def read_json(path: Path) -> Any:
    """What `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that has been received completely and waits under a temporary name."""

    path: Path
    size: int
    sha256: str
    git_oid: str
    """git's id of the content: SHA-1 of a header and the bytes."""


class Receiver:
    """Writes bytes to a temporary file as they come, hashing them on the way.

    As a context manager it removes the temporary file, unless somebody has moved it away by then.
    """

    def __init__(self, folder: Path) -> None:
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".receiving-")
        self._file = os.fdopen(descriptor, "wb")
        self._path = Path(name)
        self._sha256 = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._file.write(data)
        self._sha256.update(data)
        self.size += len(data)

    def finish(self) -> tuple[Path, str]:
        """Make the bytes durable; their path and SHA-256."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._path, self._sha256.hexdigest()


def stage(folder: Path, data: bytes) -> Staged:
    """Write one small file under a temporary name; whoever commits it moves it, whoever fails removes it."""
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".receiving-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return Staged(Path(name), len(data), hashlib.sha256(data).hexdigest(), git_oid(data))


def git_oid(data: bytes) -> str:
    """The id that git gives a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()

"""Files that other processes read while they are written, and locks between processes."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where nothing more can be written."""
_NOT_SUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
_SOFT_LOCK_S = 5.0


@contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Yield an empty draft next to `path`; when the block succeeds, the draft replaces `path` in one step.

    The content reaches the disk before the rename, so a crash leaves the old file or the new one, never half of one.
    When the block fails, the draft is deleted and `path` keeps its content.

    Raises:
        OSError: the folder can't be written to, or the disk is full.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        yield draft
        sync_to_disk(draft)
        draft.replace(path)
        sync_to_disk(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes | memoryview, *, mode: int = 0o644) -> None:
    """Replace a file's content in one step; see `replacing`."""
    with replacing(path, mode=mode) as draft:
        draft.write_bytes(data)


def create_once(path: Path, data: bytes, *, mode: int = 0o600) -> bytes:
    """Create a file, unless another process was first, and return its content.

    Works on file systems without hard links (exFAT, SMB, some container mounts): a lock beside its folder decides who
    writes it.

    Raises:
        OSError: the folder can't be written to, or the disk is full.
    """
    if not path.exists():
        with _lock_beside(path.parent):
            if not path.exists():
                write_atomically(path, data, mode=mode)
    return path.read_bytes()


@contextmanager
def _lock_beside(folder: Path) -> Iterator[None]:
    """Hold a lock in a folder's parent; where the file system has no locks, a file that only one can create is one."""
    path = folder.with_name(f".{folder.name}.lock")
    lock: BaseFileLock = FileLock(path, mode=0o600)
    try:
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NOT_SUPPORTED:
            raise
        lock = SoftFileLock(path.with_suffix(".soft"), timeout=_SOFT_LOCK_S)
        with suppress(Timeout):  # left behind by a process that was killed
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def sync_to_disk(path: Path) -> None:
    """Flush a file or a folder to the disk; a no-op for folders where that isn't possible (Windows, SMB)."""
    is_folder = path.is_dir()
    if os.name == "nt" and is_folder:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not is_folder or error.errno not in _NOT_SUPPORTED:
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush every file below a folder to the disk, so that the folder can take its final name."""
    for path in folder.rglob("*"):
        if path.is_file():
            sync_to_disk(path)


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold a lock file for the length of the block, without waiting; yields whether it is held.

    The operating system releases the lock with the process, so a killed process leaves nothing behind.

    Raises:
        OSError: the lock file can't be created.
    """
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()

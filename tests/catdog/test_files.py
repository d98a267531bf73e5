"""Files that several processes share, on file systems that can do less."""

import errno
import os
from pathlib import Path

import pytest
from filelock import FileLock

from catdog import files
from catdog.files import create_once, write_atomically


@pytest.mark.parametrize("locks", [True, False])
def test_a_file_is_made_once_with_or_without_locks(
    locks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def acquire(*_: object, **__: object) -> None:  # as on some network mounts
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    if not locks:
        monkeypatch.setattr(FileLock, "acquire", acquire)
    folder = tmp_path / "keys"
    folder.mkdir()
    assert create_once(folder / "a.key", b"first") == b"first"
    assert create_once(folder / "a.key", b"second") == b"first"
    assert (folder / "a.key").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_flushed_does_not_stop_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush = os.fsync

    def fsync(descriptor: int) -> None:  # as on SMB, which flushes files and no folders
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        flush(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    write_atomically(tmp_path / "a", b"content")
    assert (tmp_path / "a").read_bytes() == b"content"


def test_without_hard_links_a_file_is_made_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    assert create_once(tmp_path / "a", b"first") == b"first"

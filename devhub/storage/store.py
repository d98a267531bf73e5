"""All repositories, in one folder that one process owns."""

import shutil
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from catdog.errors import SettingsError
from catdog.files import sync_to_disk
from devhub.refusal import RefusedError, no_repository
from devhub.storage.files import read_json, write_json
from devhub.storage.names import KINDS, RepoName
from devhub.storage.repository import Repository, now

_STALE_S = 24 * 3600.0
_RENAMES = ".renames.json"
_MOST_RENAMES = 16
"""Names that one repository had, one after the other."""


class Store:
    """The repositories below a root folder. `open` takes the folder's lock; `close` releases it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._locks: defaultdict[RepoName, threading.RLock] = defaultdict(threading.RLock)
        self._creating = threading.Lock()
        self._owner: sqlite3.Connection | None = None

    def open(self) -> None:
        """Make the folder if need be, lock it, and sweep up what a killed process left.

        Raises:
            SettingsError: the folder cannot be used, or another devhub serves it.
        """
        try:
            for kind in KINDS:
                (self.root / kind).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"{self.root} cannot be used: {error.strerror}. Give another folder.") from None
        self._owner = _lock(self.root / "devhub.lock")
        self._sweep()

    def close(self) -> None:
        """Release the folder."""
        if self._owner is not None:
            self._owner.close()
            self._owner = None

    def create(self, name: RepoName, *, author: str, private: bool, sdk: str | None = None) -> Repository:
        """Make a repository.

        Raises:
            RefusedError: 409, it exists.
        """
        settings = {"private": private, "created_at": now(), "sdk": sdk}
        with self._creating:
            if self._known(name):
                raise RefusedError(409, f"You already created this {name.kind.removesuffix('s')} repo: {name.repo_id}")
            folder = self._folder(name)
            folder.parent.mkdir(exist_ok=True)
            return Repository.create(name, folder, self._locks[name], author=author, settings=settings)

    def find(self, name: RepoName) -> Repository:
        """One repository; its name may be written in other cases, or be one that it had before.

        Raises:
            RefusedError: 404.
        """
        known = self._known(name) or self._renamed(name)
        if known is None or not (self._folder(known) / "repo.json").is_file():
            raise no_repository()
        return Repository(known, self._folder(known), self._locks[known])

    def move(self, old: RepoName, new: RepoName) -> None:
        """Rename a repository."""
        repository = self.find(old)
        with self._creating, repository.lock:
            if self._known(new) not in (None, repository.name):  # other cases of its own name are fine
                raise RefusedError(
                    409, f"A {new.kind.removesuffix('s')} repository called {new.repo_id} already exists"
                )
            target = self._folder(new)
            target.parent.mkdir(exist_ok=True)
            repository.folder.rename(target)
            sync_to_disk(target.parent)
            write_json(self._renames(new.kind), {**self._read_renames(new.kind), old.repo_id.lower(): new.repo_id})

    def repositories(self, kind: str) -> Iterator[Repository]:
        """All repositories of one type, sorted."""
        for path in sorted((self.root / kind).glob("[!.]*/[!.]*/repo.json")):
            yield self.find(RepoName(kind, path.parent.parent.name, path.parent.name))

    def _folder(self, name: RepoName) -> Path:
        return self.root / name.kind / name.namespace / name.name

    def _known(self, name: RepoName) -> RepoName | None:
        """The name of the repository as it was created; None if there is none of this name in any case."""
        if self._folder(name).exists():
            return name
        wanted = name.repo_id.lower()
        found = (path.relative_to(self.root / name.kind) for path in (self.root / name.kind).glob("[!.]*/[!.]*"))
        same = next((path for path in found if path.as_posix().lower() == wanted), None)
        return None if same is None else RepoName(name.kind, *same.parts)

    def _renamed(self, name: RepoName) -> RepoName | None:
        """The repository that had this name before it was renamed, unless another one took it."""
        renames = self._read_renames(name.kind)
        for _ in range(_MOST_RENAMES):
            if (later := renames.get(name.repo_id.lower())) is None:
                return None
            name = RepoName(name.kind, *later.split("/"))
            if known := self._known(name):
                return known
        return None

    def _renames(self, kind: str) -> Path:
        return self.root / kind / _RENAMES

    def _read_renames(self, kind: str) -> dict[str, str]:
        """New names by old ones in lower case."""
        path = self._renames(kind)
        found: dict[str, str] = read_json(path) if path.is_file() else {}
        return found

    def _sweep(self) -> None:
        """Remove half-written files, half-made repositories, and uploads that nobody committed within a day."""
        for kind in KINDS:
            for folder in (self.root / kind).glob("*/.*-*"):
                shutil.rmtree(folder)
            for path in (self.root / kind).glob("*/*/**/.*-*"):
                path.unlink()
            for path in (self.root / kind).glob("*/*/incoming/*"):
                if path.stat().st_mtime < time.time() - _STALE_S:
                    path.unlink()


def _lock(path: Path) -> sqlite3.Connection:
    """Own a folder, until the connection is closed or the process ends, however it ends.

    SQLite's file lock serves for this because the standard library has no other that works on every system.
    """
    owner = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        owner.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        owner.close()
        raise SettingsError(
            f"{path.parent} is served by another devhub ({error}). Stop it, or use its address."
        ) from None
    return owner

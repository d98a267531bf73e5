"""One repository in a folder: blobs named by their hash, a manifest for each commit, and the refs.

    repo.json              settings and creation date
    refs.json              branches and tags
    commits/SHA.json       one manifest for each commit
    blobs/SHA256           contents that some commit names
    incoming/SHA256        contents uploaded by LFS, not yet committed
    space.json             a Space's secrets, variables and hardware

A commit first makes its contents and its manifest durable, then replaces `refs.json`: a process killed at any moment
leaves the old state or the new one. Everything that a ref does not reach is rubbish, removed by `squash`.
"""

import functools
import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from catdog.files import sync_to_disk
from devhub.refusal import RefusedError, bad_request, no_entry, no_repository, no_revision
from devhub.storage.changes import AddFile, AddLfs, Change, apply
from devhub.storage.commit import Commit, Entry
from devhub.storage.files import Receiver, read_json, write_json
from devhub.storage.names import RepoName, check_path, check_ref, check_sha256, is_commit, is_short_hash

RefKind = Literal["branches", "tags"]
Refs = dict[RefKind, dict[str, str]]
_UPDATED = "The branch was updated since you opened this page. Please refresh and try again."
GIT_FOLDER: dict[RefKind, str] = {"branches": "heads", "tags": "tags"}
"""Where git has them, below `refs/`."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a commit says about itself."""

    title: str
    text: str
    author: str


class Repository:
    """A repository's folder. Writers hold `lock`, so that commits to one branch come one after the other."""

    def __init__(self, name: RepoName, folder: Path, lock: threading.RLock) -> None:
        self.name = name
        self.folder = folder
        self.lock = lock

    @classmethod
    def create(cls, name: RepoName, folder: Path, lock: threading.RLock, *, author: str, settings: object) -> Self:
        """Make the folder with an empty first commit on `main`; it appears under its name in one step."""
        aside = folder.with_name(f".making-{secrets.token_hex(8)}")
        repository = cls(name, aside, lock)
        for part in ("commits", "blobs", "incoming"):
            (aside / part).mkdir(parents=True)
        write_json(aside / "repo.json", settings)
        first = repository._write(Commit(None, "initial commit", "", author, now(), {}))
        write_json(aside / "refs.json", {"branches": {"main": first}, "tags": {}})
        aside.rename(folder)
        sync_to_disk(folder.parent)
        return cls(name, folder, lock)

    @property
    def settings(self) -> dict[str, Any]:
        """The contents of `repo.json`."""
        settings: dict[str, Any] = self._read("repo.json")
        return settings

    def change_settings(self, **changes: object) -> None:
        """Change some settings."""
        with self.lock:
            write_json(self.folder / "repo.json", {**self.settings, **changes})

    def refs(self) -> Refs:
        """Branches and tags with the commits they name."""
        refs: Refs = self._read("refs.json")
        return refs

    def resolve(self, revision: str) -> str:
        """The commit that a branch, tag or commit id names.

        Raises:
            RefusedError: 404, there is none.
        """
        refs = self.refs()
        for known in (refs["branches"], refs["tags"]):
            if revision in known:
                return known[revision]
        if is_commit(revision) and self._manifest(revision).is_file():
            return revision
        if is_short_hash(revision):
            found = list((self.folder / "commits").glob(f"{revision}*.json"))
            if len(found) == 1:
                return found[0].stem
        raise no_revision(revision)

    def commit(self, sha: str) -> Commit:
        """One commit by its id."""
        path = self._manifest(sha)
        if not path.is_file():
            raise no_revision(sha)
        return _load_commit(path)

    def history(self, sha: str) -> Iterator[tuple[str, Commit]]:
        """A commit and its ancestors, newest first."""
        current: str | None = sha
        while current is not None:
            commit = self.commit(current)
            yield current, commit
            current = commit.parent

    def entry(self, sha: str, path: str) -> Entry:
        """One file of a commit.

        Raises:
            RefusedError: 404, the commit has no such file.
        """
        entry = self.commit(sha).files.get(check_path(path))
        if entry is None:
            raise no_entry(path)
        return entry

    def blob(self, entry: Entry) -> Path:
        """The file that holds an entry's content."""
        return self.folder / "blobs" / check_sha256(entry.sha256)

    def size_of(self, sha256: str) -> int | None:
        """Bytes of a content that is committed or uploaded; None if it is not here."""
        for folder in ("blobs", "incoming"):
            try:
                return (self.folder / folder / check_sha256(sha256)).stat().st_size
            except FileNotFoundError:
                continue
        return None

    def stored_bytes(self) -> int:
        """Of all contents that some commit names."""
        return sum(path.stat().st_size for path in (self.folder / "blobs").iterdir())

    def receiver(self) -> Receiver:
        """A temporary file in which an upload grows."""
        return Receiver(self.incoming)

    @property
    def incoming(self) -> Path:
        """Where uploads wait for their commit."""
        return self.folder / "incoming"

    def keep_upload(self, path: Path, sha256: str) -> None:
        """Give a complete upload its name."""
        path.replace(self.incoming / check_sha256(sha256))
        sync_to_disk(self.incoming)

    def add_commit(self, branch: str, changes: Sequence[Change], message: Message, parent: str | None = None) -> str:
        """Apply changes to a branch.

        Args:
            branch: Must exist.
            changes: In order.
            message: Title, text and author.
            parent: The commit that the client believes to be the branch's head; None if it does not care.

        Returns:
            The new commit's id.

        Raises:
            RefusedError: the branch is unknown (404) or has moved on (412), an LFS object was never uploaded (400), or
                the changes do not fit the files.
        """
        with self.lock:
            head = self._head(branch)
            if parent is not None and parent != head:
                raise RefusedError(
                    412, "The branch was updated since you opened this page. Please refresh and try again."
                )
            sizes = self._sizes(changes)
            files = apply(self.commit(head).files, changes, sizes)
            self._keep_contents(changes)
            sha = self._write(Commit(head, message.title, message.text, message.author, now(), files))
            self._move("branches", branch, sha)
            return sha

    def create_ref(self, kind: RefKind, name: str, revision: str) -> None:
        """Make a branch or tag.

        Raises:
            RefusedError: 409 it exists; 404 the revision does not.
        """
        with self.lock:
            sha = self.resolve(revision)
            check_ref(name)
            if name in self.refs()[kind]:
                raise RefusedError(409, f"Reference refs/{GIT_FOLDER[kind]}/{name} already exists")
            self._move(kind, name, sha)

    def delete_ref(self, kind: RefKind, name: str) -> None:
        """Remove a branch or tag; `main` stays."""
        with self.lock:
            refs = self.refs()
            if name not in refs[kind]:
                raise no_revision(name)
            if (kind, name) == ("branches", "main"):
                raise bad_request("Cannot delete refs/heads/main: it stays.")
            del refs[kind][name]
            write_json(self.folder / "refs.json", refs)

    def squash(self, branch: str, message: Message) -> str:
        """Replace a branch's history by one commit with the same files, then delete what no ref reaches any more."""
        with self.lock:
            head = self.commit(self._head(branch))
            sha = self._write(Commit(None, message.title, message.text, message.author, now(), head.files))
            self._move("branches", branch, sha)
            self._collect_garbage()
            return sha

    def delete(self) -> None:
        """Remove the repository: first its name, in one step, then its contents."""
        with self.lock:
            aside = self.folder.with_name(f".deleting-{secrets.token_hex(8)}")
            self.folder.rename(aside)
            sync_to_disk(aside.parent)
        shutil.rmtree(aside)

    def _read(self, name: str) -> Any:
        try:
            return read_json(self.folder / name)
        except FileNotFoundError:  # deleted between two steps of one request
            raise no_repository() from None

    def _manifest(self, sha: str) -> Path:
        if not is_commit(sha):
            raise no_revision(sha)
        return self.folder / "commits" / f"{sha}.json"

    def _write(self, commit: Commit) -> str:
        write_json(self._manifest(commit.sha), commit.to_json())
        return commit.sha

    def _head(self, branch: str) -> str:
        head = self.refs()["branches"].get(branch)
        if head is None:
            raise no_revision(branch)
        return head

    def _move(self, kind: RefKind, name: str, sha: str) -> None:
        refs = self.refs()
        refs[kind][name] = sha
        write_json(self.folder / "refs.json", refs)

    def _sizes(self, changes: Sequence[Change]) -> dict[str, int]:
        sizes = {}
        for change in changes:
            if isinstance(change, AddLfs):
                size = self.size_of(change.sha256)
                if size is None:
                    raise bad_request(f"The LFS object {change.sha256} of {change.path} has not been uploaded.")
                sizes[change.sha256] = size
        return sizes

    def _keep_contents(self, changes: Sequence[Change]) -> None:
        """Move what the changes bring from its temporary place to the blobs."""
        blobs = self.folder / "blobs"
        for change in changes:
            if isinstance(change, AddFile):
                change.staged.path.replace(blobs / change.staged.sha256)
            elif isinstance(change, AddLfs) and (self.incoming / change.sha256).exists():
                (self.incoming / change.sha256).replace(blobs / change.sha256)
        sync_to_disk(blobs)

    def _collect_garbage(self) -> None:
        refs = self.refs()
        heads = {*refs["branches"].values(), *refs["tags"].values()}
        commits = dict(item for head in heads for item in self.history(head))
        blobs = {entry.sha256 for commit in commits.values() for entry in commit.files.values()}
        _keep_only(self.folder / "commits", {f"{sha}.json" for sha in commits})
        _keep_only(self.folder / "blobs", blobs)


def now() -> str:
    """The time, as the Hub writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@functools.lru_cache(maxsize=32)
def _load_commit(path: Path) -> Commit:
    """Parse a manifest once: a manifest never changes, and a download asks for it once a file."""
    return Commit.from_json(read_json(path))


def _keep_only(folder: Path, names: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink(missing_ok=True)
    sync_to_disk(folder)

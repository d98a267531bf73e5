"""One commit: who, when, why, and which content stands at which path."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from devhub.storage.files import git_oid

POINTER_VERSION = "version https://git-lfs.github.com/spec/v1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a commit."""

    sha256: str
    """Of the content; its name in the blob store."""
    size: int
    oid: str
    """git's id: of the content, or of the pointer where the file is stored by LFS."""
    lfs: bool

    @classmethod
    def of_lfs(cls, sha256: str, size: int) -> Self:
        """The entry of a file that came by LFS."""
        return cls(sha256, size, git_oid(_pointer(sha256, size)), lfs=True)

    @property
    def etag(self) -> str:
        """What the Hub gives as the file's ETag."""
        return self.sha256 if self.lfs else self.oid

    @property
    def pointer_size(self) -> int:
        """Bytes of the git-LFS pointer file."""
        return len(_pointer(self.sha256, self.size))


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit. Its id is the hash of everything else in it."""

    parent: str | None
    title: str
    message: str
    author: str
    date: str
    """UTC, ISO 8601 with `Z`."""
    files: Mapping[str, Entry]

    @property
    def sha(self) -> str:
        """The commit's id: 40 hexadecimal digits."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """As stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The opposite of `to_json`."""
        files = {path: Entry(**entry) for path, entry in value["files"].items()}
        return cls(**{**value, "files": files})


def _pointer(sha256: str, size: int) -> bytes:
    return f"{POINTER_VERSION}\noid sha256:{sha256}\nsize {size}\n".encode()

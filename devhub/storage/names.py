"""Names that clients send: repositories, branches and tags, paths of files. Checked here before anything uses them.

Only a repository's type and name ever become folder names; revisions and file paths stay keys inside JSON.
"""

import re
from dataclasses import dataclass
from typing import Self

from devhub.refusal import RefusedError, bad_request, no_repository

KINDS = ("models", "datasets", "spaces")
"""The three types of repository, as the API's routes spell them."""

_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_RESERVED = frozenset({*KINDS, "api"})
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT_HASH = re.compile(r"[0-9a-f]{7,39}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_MAX_PATH = 1024


@dataclass(frozen=True, slots=True)
class RepoName:
    """A repository's type and id; safe to use as folder names."""

    kind: str
    """`models`, `datasets` or `spaces`."""
    namespace: str
    name: str

    @classmethod
    def parse(cls, kind: str, namespace: str, name: str) -> Self:
        """Check the parts of a name.

        Raises:
            RefusedError: 404, as for a repository that does not exist, since none can have such a name.
        """
        if kind not in KINDS or namespace in _RESERVED or not (_fits(namespace) and _fits(name)):
            raise no_repository()
        return cls(kind, namespace, name)

    @property
    def repo_id(self) -> str:
        """`NAMESPACE/NAME`."""
        return f"{self.namespace}/{self.name}"

    @property
    def web_path(self) -> str:
        """The path of the repository's page and files: models have no prefix."""
        return self.repo_id if self.kind == "models" else f"{self.kind}/{self.repo_id}"


def is_commit(revision: str) -> bool:
    """Whether a revision is a full commit id."""
    return _COMMIT.fullmatch(revision) is not None


def is_short_hash(revision: str) -> bool:
    """Whether a revision may be the beginning of a commit id."""
    return _SHORT_HASH.fullmatch(revision) is not None


def check_sha256(text: object) -> str:
    """A SHA-256 in lower-case hexadecimal, safe to use as a file name."""
    if not isinstance(text, str) or not _SHA256.fullmatch(text):
        raise bad_request("An LFS object id must be 64 hexadecimal digits.")
    return text


def check_ref(name: object) -> str:
    """The name of a new branch or tag."""
    if not isinstance(name, str) or not _REF.fullmatch(name) or is_commit(name) or not _clean(name):
        raise bad_request(f"{name!r} cannot be the name of a branch or tag.")
    return name


def check_path(path: object, *, status: int = 400) -> str:
    """The path of a file or folder in a repository: relative, with forward slashes, safe to write on any client.

    Raises:
        RefusedError: with this status, it is not.
    """
    if not isinstance(path, str) or not 0 < len(path) <= _MAX_PATH or _UNSAFE.search(path) or not _clean(path):
        raise RefusedError(status, f"{str(path)[:200]!r} cannot be a path in a repository.")
    return path


def _fits(part: str) -> bool:
    return _PART.fullmatch(part) is not None and ".." not in part and not part.endswith(".git")


def _clean(path: str) -> bool:
    return not any(part in ("", ".", "..") or part.lower() == ".git" for part in path.split("/"))

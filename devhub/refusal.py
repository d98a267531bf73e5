"""What the server refuses, in the words and header codes that `huggingface_hub` turns into its own exceptions."""

from typing import Literal

from catdog.errors import CatdogError

HubCode = Literal["RepoNotFound", "RevisionNotFound", "EntryNotFound"]


class RefusedError(CatdogError):
    """A request that is answered with an error status.

    `hub_code` is what the client's exceptions are made from (`X-Error-Code`).
    """

    def __init__(self, status: int, message: str, hub_code: HubCode | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.hub_code = hub_code


def bad_request(message: str) -> RefusedError:
    """400: the request makes no sense."""
    return RefusedError(400, message)


def no_repository() -> RefusedError:
    """404, the same for a missing repository and for one that is private."""
    return RefusedError(404, "Repository not found", "RepoNotFound")


def no_revision(revision: str) -> RefusedError:
    """404: no branch, tag or commit of that name."""
    return RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def no_entry(path: str) -> RefusedError:
    """404: the revision has no such file or folder."""
    return RefusedError(404, f"Entry not found: {path}", "EntryNotFound")

"""Routes for branches, tags and history."""

from typing import Any

from fastapi import APIRouter

from devhub.routes.access import REPO_API, Body, Readable, Revision, Writable, Writer
from devhub.storage.repository import GIT_FOLDER, Message, RefKind, Repository

router = APIRouter(prefix=REPO_API)


@router.get("/refs")
def list_refs(repository: Readable) -> dict[str, Any]:
    """Branches and tags."""
    return {
        "branches": _list(repository, "branches"),
        "tags": _list(repository, "tags"),
        "converts": [],
        "pullRequests": [],
    }


@router.get("/commits/{revision}")
def list_commits(repository: Readable, revision: Revision) -> list[dict[str, Any]]:
    """A revision's history, newest first."""
    return [
        {
            "id": sha,
            "title": commit.title,
            "message": commit.message,
            "authors": [{"user": commit.author}],
            "date": commit.date,
            "formatted": {"title": commit.title, "message": commit.message},
        }
        for sha, commit in repository.history(repository.resolve(revision))
    ]


@router.post("/branch/{revision}")
def create_branch(body: Body, repository: Writable, revision: Revision) -> dict[str, Any]:
    """Make a branch, by default from `main`."""
    repository.create_ref("branches", revision, str(body.get("startingPoint") or "main"))
    return {}


@router.delete("/branch/{revision}")
def delete_branch(repository: Writable, revision: Revision) -> dict[str, Any]:
    """Remove a branch."""
    repository.delete_ref("branches", revision)
    return {}


@router.post("/tag/{revision}")
def create_tag(body: Body, repository: Writable, revision: Revision) -> dict[str, Any]:
    """Tag a revision."""
    repository.create_ref("tags", body.get("tag", ""), revision)
    return {}


@router.delete("/tag/{revision}")
def delete_tag(repository: Writable, revision: Revision) -> dict[str, Any]:
    """Remove a tag."""
    repository.delete_ref("tags", revision)
    return {}


@router.post("/super-squash/{revision}")
def squash(body: Body, repository: Writable, revision: Revision, user: Writer) -> dict[str, Any]:
    """Make a branch one single commit; contents that no revision names any more are deleted."""
    message = Message(str(body.get("message") or "Super-squash"), "", user.name)
    return {"commitOid": repository.squash(revision, message)}


def _list(repository: Repository, kind: RefKind) -> list[dict[str, str]]:
    return [
        {"name": name, "ref": f"refs/{GIT_FOLDER[kind]}/{name}", "targetCommit": sha}
        for name, sha in sorted(repository.refs()[kind].items())
    ]

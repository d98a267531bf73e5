"""Routes that make, change, describe and remove repositories."""

from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from devhub.refusal import RefusedError, bad_request
from devhub.routes.access import REPO_API, Asker, Body, Known, Readable, Revision, TheHub, Writable, Writer, writer
from devhub.routes.description import describe_repository, describe_storage
from devhub.routes.spaces import address_of_space, fill_space
from devhub.storage.names import KINDS, RepoName
from devhub.tokens import Token

router = APIRouter()

_NOT_KEPT = ("gated", "resourceGroupId", "storageTier", "template", "discussionsDisabled")


@router.post("/api/repos/create")
def create(body: Body, request: Request, response: Response, hub: TheHub, user: Writer) -> dict[str, Any]:
    """Make a repository; 409 with its address if it exists."""
    _refuse_what_is_not_kept(body)
    name = _named(body, user)
    private = _is_private(body, default=False)
    url = f"{request.base_url}{name.web_path}"
    try:
        repository = hub.store.create(name, author=user.name, private=private, sdk=body.get("sdk"))
    except RefusedError as refused:
        response.status_code = refused.status
        return {"error": str(refused), "url": url}
    if name.kind == "spaces":
        fill_space(repository, body)
    return {"url": url, "name": name.repo_id, "id": name.repo_id}


@router.delete("/api/repos/delete")
def delete(body: Body, hub: TheHub, user: Writer) -> dict[str, Any]:
    """Remove a repository with everything in it."""
    hub.store.find(_named(body, user)).delete()
    return {}


@router.post("/api/repos/move", dependencies=[Depends(writer)])
def move(body: Body, hub: TheHub) -> dict[str, Any]:
    """Rename a repository."""
    kind = _kind(body)
    hub.store.move(_parse_id(kind, body.get("fromRepo")), _parse_id(kind, body.get("toRepo")))
    return {}


@router.put(REPO_API + "/settings")
def change_settings(body: Body, repository: Writable) -> dict[str, Any]:
    """Make a repository private or public."""
    _refuse_what_is_not_kept(body)
    private = _is_private(body, default=repository.settings["private"])
    repository.change_settings(private=private)
    return {"private": private}


@router.get("/api/{kind}")
def list_repositories(  # noqa: PLR0913, PLR0917 - one parameter for each of the query
    kind: str, hub: TheHub, user: Asker, author: str = "", search: str = "", limit: int = 1000
) -> list[dict[str, Any]]:
    """The repositories of one type that the asker may see."""
    if kind not in KINDS:
        raise RefusedError(404, "There is no such page.")
    visible = [
        describe_repository(repository, "main")
        for repository in hub.store.repositories(kind)
        if (user or not repository.settings["private"])
        and author in ("", repository.name.namespace)
        and search.lower() in repository.name.repo_id.lower()
    ]
    return visible[:limit]


@router.get("/api/settings/repositories")
def list_own_repositories(hub: TheHub, user: Known) -> list[dict[str, Any]]:
    """The asker's repositories of every type, with the space that they take: what `hf repos ls` shows."""
    own = [
        describe_storage(repository)
        for kind in KINDS
        for repository in hub.store.repositories(kind)
        if repository.name.namespace == user.name
    ]
    total = sum(each["storage"] for each in own) or 1
    return [{**each, "storagePercent": 100 * each["storage"] / total} for each in own]


@router.get(REPO_API)
def info(repository: Readable, blobs: bool = False) -> dict[str, Any]:
    """What the repository's main branch holds."""
    return {**describe_repository(repository, "main", blobs=blobs), **address_of_space(repository)}


@router.get(REPO_API + "/revision/{revision}")
def info_at(repository: Readable, revision: Revision, blobs: bool = False) -> dict[str, Any]:
    """What one revision holds."""
    return describe_repository(repository, revision, blobs=blobs)


@router.get(REPO_API + "/auth-check")
def may_read(repository: Readable) -> dict[str, Any]:
    """Whether the asker may read."""
    return {"id": repository.name.repo_id}


@router.get(REPO_API + "/auth-check/write")
def may_write(repository: Writable) -> dict[str, Any]:
    """Whether the asker may write."""
    return {"id": repository.name.repo_id}


def _kind(body: dict[str, Any]) -> str:
    return f"{body.get('type') or 'model'}s"


def _named(body: dict[str, Any], user: Token) -> RepoName:
    """The repository that a body names, by default in the asker's own namespace."""
    return _parse_id(_kind(body), f"{body.get('organization') or user.name}/{body.get('name')}")


def _parse_id(kind: str, repo_id: object) -> RepoName:
    namespace, _, name = str(repo_id).partition("/")
    try:
        return RepoName.parse(kind, namespace, name)
    except RefusedError:
        raise bad_request(f"{repo_id!r} cannot be the name of one of the {kind}.") from None


def _refuse_what_is_not_kept(body: dict[str, Any]) -> None:
    """A setting that would be accepted and ignored misleads: a repository that was to be gated would be open."""
    given = [key for key in _NOT_KEPT if body.get(key)]
    if given:
        raise bad_request(f"This hub has no {' and no '.join(given)}: leave it out.")


def _is_private(body: dict[str, Any], *, default: bool) -> bool:
    visibility = body.get("visibility", "private" if body.get("private", default) else "public")
    if visibility not in ("public", "private"):
        raise bad_request(f"The visibility {visibility!r} is not known here; use public or private.")
    return bool(visibility == "private")

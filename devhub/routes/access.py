"""Who asks, for which repository, and whether they may; and what the Hub tells clients about themselves."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Request
from pydantic import TypeAdapter, ValidationError
from starlette.responses import PlainTextResponse

from devhub.refusal import RefusedError, bad_request, no_repository
from devhub.storage.names import RepoName, check_path
from devhub.storage.repository import Repository
from devhub.storage.store import Store
from devhub.tokens import Signer, Token, Tokens

router = APIRouter()
MAX_JSON_BYTES = 16_000_000
REPO_API = "/api/{kind}/{namespace}/{name}"
"""Where the routes of one repository begin."""


@dataclass(frozen=True, slots=True)
class Hub:
    """What the routes work with."""

    store: Store
    tokens: Tokens
    signer: Signer
    inline_bytes: int
    """Files up to this size come inside the commit, larger ones by LFS."""
    max_commit_bytes: int
    """The largest body of one commit."""


def the_hub(request: Request) -> Hub:
    """The hub of this application."""
    hub: Hub = request.app.state.hub
    return hub


TheHub = Annotated[Hub, Depends(the_hub)]


def asker(request: Request, hub: TheHub) -> Token | None:
    """Who asks; None without a token, 401 with a wrong one."""
    return hub.tokens.identify(request.headers.get("authorization"))


Asker = Annotated[Token | None, Depends(asker)]


def known(user: Asker) -> Token:
    """Whose token the request brings.

    Raises:
        RefusedError: 401, it brings none.
    """
    if user is None:
        raise RefusedError(401, "Invalid username or password.")
    return user


Known = Annotated[Token, Depends(known)]


def writer(user: Asker) -> Token:
    """Somebody who may write."""
    if user is None:
        raise RefusedError(401, "Invalid username or password.")
    if user.role != "write":
        raise RefusedError(403, "You don't have the rights to write: the token has the role `read`")
    return user


Writer = Annotated[Token, Depends(writer)]


def asked_name(request: Request) -> RepoName:
    """The repository that the path names; a path without type means a model."""
    part = request.path_params
    return RepoName.parse(unquote(part.get("kind", "models")), unquote(part["namespace"]), unquote(part["name"]))


AskedName = Annotated[RepoName, Depends(asked_name)]


def readable(name: AskedName, hub: TheHub, user: Asker) -> Repository:
    """The repository, if this asker may read it; else it does not exist."""
    repository = hub.store.find(name)
    if user is None and repository.settings["private"]:
        raise no_repository()
    return repository


Readable = Annotated[Repository, Depends(readable)]


def writable(repository: Readable, _: Writer) -> Repository:
    """The repository, if this asker may write to it."""
    return repository


Writable = Annotated[Repository, Depends(writable)]


def asked_revision(request: Request) -> str:
    """The revision in the path; routes match the path as sent, so that `%2F` in a branch's name is not a separator."""
    return unquote(request.path_params["revision"])


Revision = Annotated[str, Depends(asked_revision)]


def asked_path(request: Request) -> str:
    """The file or folder in the path, checked."""
    return check_path(unquote(request.path_params["path"]))


FilePath = Annotated[str, Depends(asked_path)]


async def read_body(request: Request, limit: int = MAX_JSON_BYTES) -> bytes:
    """The whole body of a small request.

    Raises:
        RefusedError: 413, it is larger than `limit` bytes.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise RefusedError(413, f"The request is larger than {limit} bytes.")
    return bytes(body)


async def read_json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object; empty if there is none."""
    body = await read_body(request)
    try:
        return TypeAdapter(dict[str, Any]).validate_json(body or b"{}")
    except ValidationError:
        raise bad_request("The body must be a JSON object.") from None


Body = Annotated[dict[str, Any], Depends(read_json_object)]


@router.get("/")
def front_page() -> PlainTextResponse:
    """Say what this is."""
    return PlainTextResponse("A local hub. Set HF_ENDPOINT to this address; repositories are listed at /api/models.\n")


@router.get("/api/whoami-v2")
def whoami(user: Known) -> dict[str, Any]:
    """Who the token belongs to."""
    token = {"displayName": user.name, "role": user.role}
    return {
        "type": "user",
        "id": user.name,
        "name": user.name,
        "fullname": user.name,
        "isPro": False,
        "orgs": [],
        "auth": {"type": "access_token", "accessToken": token},
    }


@router.post("/api/validate-yaml")
def validate_yaml(_: Body) -> dict[str, Any]:
    """Accept every card's metadata."""
    return {"errors": [], "warnings": []}

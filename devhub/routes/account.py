"""Routes about the asker, and the checks that clients make before they upload."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import PlainTextResponse

from devhub.refusal import RefusedError
from devhub.routes.access import Asker, Body

router = APIRouter()


@router.get("/")
def front_page() -> PlainTextResponse:
    """Say what this is."""
    return PlainTextResponse("A local hub. Set HF_ENDPOINT to this address; repositories are listed at /api/models.\n")


@router.get("/api/whoami-v2")
def whoami(user: Asker) -> dict[str, Any]:
    """Who the token belongs to."""
    if user is None:
        raise RefusedError(401, "Invalid username or password.")
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

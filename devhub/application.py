"""The web application: routes, error answers and faults."""

import re
import secrets
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from devhub.faults import FAULTS_PATH, FaultMiddleware, Faults, Rule
from devhub.refusal import RefusedError, bad_request, no_repository
from devhub.routes import access, contents, repositories, revisions, spaces, uploads
from devhub.routes.access import Hub, read_body, writer

_OF_A_REPOSITORY = re.compile(r"/api/(models|datasets|spaces)/|/.+/resolve/")
"""Paths that no route takes because the name in them has no namespace: there is no such repository."""


def create_app(hub: Hub, faults: Faults | None = None) -> ASGIApp:
    """The application over an open hub; with the route for faults only if there are `faults`."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.hub = hub
    app.add_exception_handler(RefusedError, _answer_refusal)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    for module in (access, repositories, revisions, spaces, contents, uploads):
        app.include_router(module.router)
    if faults is None:
        return RawPaths(app)
    app.include_router(_faults_router(faults))
    return RawPaths(FaultMiddleware(app, faults))


class RawPaths:
    """Lets routes match the path as sent: `feature%2Fx` is one revision, not two parts of a path.

    Each answer has an `X-Request-Id`, which the client shows in its errors.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("ascii", "replace")}
        request_id = secrets.token_hex(8).encode()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id)]}
            await send(message)

        await self._app(scope, receive, send_with_id)


def _faults_router(faults: Faults) -> APIRouter:
    router = APIRouter(prefix=FAULTS_PATH, dependencies=[Depends(writer)])

    @router.get("")
    def report() -> list[dict[str, Any]]:
        return faults.report()

    @router.post("", status_code=201)
    async def add(request: Request) -> dict[str, Any]:
        try:
            faults.add(Rule.model_validate_json(await read_body(request)))
        except ValidationError as error:
            raise bad_request(str(error)) from None
        return {}

    @router.delete("")
    def clear() -> dict[str, Any]:
        faults.clear()
        return {}

    return router


def _answer_refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    headers = {"X-Error-Message": " ".join(str(error).encode("ascii", "replace").decode().split())}
    if error.hub_code:
        headers["X-Error-Code"] = error.hub_code
    return JSONResponse({"error": str(error)}, status_code=error.status, headers=headers)


def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND and _OF_A_REPOSITORY.match(request.scope["path"]):
        return _answer_refusal(request, no_repository())
    return JSONResponse({"error": str(error.detail)}, status_code=error.status_code, headers=error.headers)


def _answer_nobody(_: Request, error: Exception) -> Response:
    """A client that is gone before its body is whole: nothing was kept, and it is not our error."""
    assert isinstance(error, ClientDisconnect)
    return Response(status_code=400)

"""Every error response of the API: one shape, with the status that belongs to its code."""

import logging
import math
import uuid
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from catdog.errors import CatdogError, DiskFullError, RateLimitedError
from catdog.files import DISK_FULL
from web.metrics.metrics import Metrics
from web.route_table import Cost, RouteTable

log = logging.getLogger(__name__)

STATUS = {
    "unreadable_image": 422,
    "image_too_large": 413,
    "body_too_large": 413,
    "url_refused": 422,
    "url_not_image": 422,
    "url_failed": 422,
    "unknown_label": 422,
    "unknown_request": 404,
    "invalid_request": 422,
    "too_slow": 408,
    "rate_limited": 429,
    "busy": 503,
    "no_model": 503,
    "feedback_failed": 503,
    "hub_failed": 503,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "internal_error": 500,
}
"""Error code to HTTP status."""

RETRY_AFTER_S = "5"
_FULL = "The server's disk is full. Your picture or correction was NOT saved. Try again later."
_UNEXPECTED = "Something went wrong on our side. Try again, and report it if it keeps happening."


class Problem(BaseModel):
    """The body of every error response."""

    error: str = Field(description="error code", examples=["unreadable_image"])
    detail: str = Field(
        description="what happened and what to do, in a sentence",
        examples=["This image can't be read. Send a JPEG, PNG, WebP, AVIF, GIF, BMP or HEIC file."],
    )
    request_id: str = Field(description="quote this when you report a problem", examples=["0" * 32])


class ErrorResponses:
    """Turns every failure into a response, counts it where a prediction was asked for, and logs its id."""

    def __init__(self, metrics: Metrics, table: RouteTable) -> None:
        """Make the responses.

        Args:
            metrics: Counts them.
            table: Says which routes predict.
        """
        self._metrics = metrics
        self._table = table

    def response(self, scope: Scope, code: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
        """The error response to a request."""
        self._metrics.refused(code)
        if self._table.find(scope["method"], scope["path"]).cost is Cost.PREDICTION:
            self._metrics.failed(code)
        status = STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
        request_id = uuid.uuid4().hex
        level = logging.ERROR if status == HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
        log.log(level, "%s: %s", request_id, code, extra={"request_id": request_id, "code": code})
        retry = {"Retry-After": RETRY_AFTER_S} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        content = Problem(error=code, detail=detail, request_id=request_id).model_dump()
        return JSONResponse(content, status, headers={**retry, **(headers or {})})

    def from_error(self, scope: Scope, error: CatdogError) -> JSONResponse:
        """The response to one of our own errors."""
        wait_s = error.retry_after_s if isinstance(error, RateLimitedError) else None
        return self.response(scope, error.code, str(error), {"Retry-After": str(math.ceil(wait_s))} if wait_s else None)

    def install(self, app: FastAPI) -> None:
        """Handle every exception of the app's own routes here."""
        app.add_exception_handler(CatdogError, self._ours)
        app.add_exception_handler(RequestValidationError, self._invalid)
        app.add_exception_handler(HTTPException, self._http)
        app.add_exception_handler(ClientDisconnect, self._disconnected)
        app.add_exception_handler(Exception, self._unexpected)
        self.install_disk_full(app)

    def install_disk_full(self, app: FastAPI) -> None:
        """Word that the disk is full, wherever an app's request meets it; other errors pass."""
        app.add_exception_handler(OSError, self._system)

    def _ours(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, CatdogError)
        return self.from_error(request.scope, error)

    def _invalid(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return self.response(request.scope, "invalid_request", explain(error))

    def _http(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code, detail = _from_status(error)
        return self.response(request.scope, code, detail, error.headers)

    def _disconnected(self, request: Request, _: Exception) -> JSONResponse:
        """Nobody reads this, but it is not an error of ours."""
        return self.response(request.scope, "invalid_request", "The connection closed before the request was complete.")

    def _system(self, request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, OSError) or error.errno not in DISK_FULL:
            raise error
        log.error("The disk is full: a request could not be kept while it was answered.")
        return self.from_error(request.scope, DiskFullError(_FULL))

    def _unexpected(self, request: Request, _: Exception) -> JSONResponse:
        return self.response(request.scope, "internal_error", _UNEXPECTED)


def explain(error: RequestValidationError) -> str:
    """One sentence about each invalid field; what was sent is not repeated."""
    fields = (f"{'.'.join(map(str, e['loc'][1:])) or 'body'}: {e['msg']}" for e in error.errors())
    return f"Invalid request: {'; '.join(fields)}. See /docs."


def _from_status(error: HTTPException) -> tuple[str, str]:
    """Code and detail for an exception that FastAPI or Starlette raised."""
    if error.status_code == HTTPStatus.NOT_FOUND:
        return "not_found", "There is nothing at this address. See /docs."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return "method_not_allowed", "This address does not support that method. See /docs."
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return "body_too_large", str(error.detail)
    if error.status_code == HTTPStatus.REQUEST_TIMEOUT:
        return "too_slow", str(error.detail)
    return "invalid_request", f"Invalid request: {error.detail}. See /docs."

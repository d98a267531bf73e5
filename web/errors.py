"""Every error answer of the API: one shape, with the status that its code stands for."""

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

from catdog.errors import CatdogError, RateLimitedError
from web.metrics.metrics import Metrics

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

_RETRY_AFTER_S = "5"
_UNEXPECTED = "Something went wrong here. Try again, and report it if it stays."


class Problem(BaseModel):
    """What every error answer says."""

    error: str = Field(description="error code", examples=["unreadable_image"])
    detail: str = Field(description="what happened and what to do, in a sentence")
    request_id: str = Field(description="name this when you report a problem")


class Problems:
    """Turns whatever goes wrong into an answer, counts it where a prediction was asked for, and logs its id."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def answer(self, path: str, code: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
        """The error answer to a request for `path`."""
        self._metrics.refused(code)
        if path == "/predict":
            self._metrics.failed(code)
        status = STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
        request_id = uuid.uuid4().hex
        level = logging.ERROR if status == HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
        log.log(level, "%s: %s", request_id, code, extra={"request_id": request_id, "code": code})
        retry = {"Retry-After": _RETRY_AFTER_S} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        content = Problem(error=code, detail=detail, request_id=request_id).model_dump()
        return JSONResponse(content, status, headers={**retry, **(headers or {})})

    def from_error(self, path: str, error: CatdogError) -> JSONResponse:
        """The answer to one of our own errors."""
        wait_s = error.retry_after_s if isinstance(error, RateLimitedError) else None
        return self.answer(path, error.code, str(error), {"Retry-After": str(math.ceil(wait_s))} if wait_s else None)

    def install(self, app: FastAPI) -> None:
        """Let every exception of the app's own routes be answered here."""
        app.add_exception_handler(CatdogError, self._ours)
        app.add_exception_handler(RequestValidationError, self._invalid)
        app.add_exception_handler(HTTPException, self._http)
        app.add_exception_handler(ClientDisconnect, self._gone)
        app.add_exception_handler(Exception, self._unexpected)

    def _ours(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, CatdogError)
        return self.from_error(request.url.path, error)

    def _invalid(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return self.answer(request.url.path, "invalid_request", explain(error))

    def _http(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code, detail = _from_status(error)
        return self.answer(request.url.path, code, detail, error.headers)

    def _gone(self, request: Request, _: Exception) -> JSONResponse:
        """Nobody reads this, but it is no error of ours either."""
        return self.answer(request.url.path, "invalid_request", "The connection ended before the request was complete.")

    def _unexpected(self, request: Request, _: Exception) -> JSONResponse:
        return self.answer(request.url.path, "internal_error", _UNEXPECTED)


def explain(error: RequestValidationError) -> str:
    """One sentence on each field that does not fit; what was sent is not repeated."""
    fields = (f"{'.'.join(map(str, e['loc'][1:])) or 'body'}: {e['msg']}" for e in error.errors())
    return f"The request does not fit: {'; '.join(fields)}. See /docs."


def _from_status(error: HTTPException) -> tuple[str, str]:
    """FastAPI's own errors as ours."""
    if error.status_code == HTTPStatus.NOT_FOUND:
        return "not_found", "There is nothing here. See /docs."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return "method_not_allowed", "This address does not do that. See /docs."
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return "body_too_large", str(error.detail)
    if error.status_code == HTTPStatus.REQUEST_TIMEOUT:
        return "too_slow", str(error.detail)
    return "invalid_request", f"The request does not fit: {error.detail}. See /docs."

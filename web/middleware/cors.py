"""Which pages of other origins may send corrections: cross-origin resource sharing for `/feedback` alone."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_PATH = "/feedback"
_METHODS = ("GET", "POST", "DELETE")


class FeedbackCors:
    """Answers the browser's question in advance, and lets the listed origins read answers. No cookies are allowed."""

    def __init__(self, app: ASGIApp, *, origins: Collection[str]) -> None:
        self._app = app
        self._shared = CORSMiddleware(
            app, allow_origins=origins, allow_methods=_METHODS, allow_headers=["Content-Type"]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        await (self._shared if is_feedback(scope) else self._app)(scope, receive, send)


def is_feedback(scope: Scope) -> bool:
    """Whether a request is about corrections."""
    return scope["type"] == "http" and f"{scope['path']}/".startswith(f"{_PATH}/")


def is_correction_from(scope: Scope, origins: Collection[str]) -> bool:
    """Whether a request is about corrections and comes from a page of one of these origins."""
    return is_feedback(scope) and Headers(scope=scope).get("Origin") in origins

"""A limit on request bodies that acts before anything parses them."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.problems import Problems

_PICTURE_PATHS = ("/predict", "/feedback", "/gradio_api/upload")
_FORM_OVERHEAD_BYTES = 64_000
_OTHER_BYTES = 256_000  # events of the page and other JSON: no picture travels in these
_TOO_LARGE = 413


class BodyLimit:
    """ASGI middleware: refuses a body by its announced length at once, and one without as soon as it is too long."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, problems: Problems) -> None:
        """Wrap an app.

        Args:
            app: The app.
            max_bytes: Of one picture; a form around it may take a little more.
            problems: Words the answer.
        """
        self._app = app
        self._max_bytes = max_bytes
        self._problems = problems

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        takes_picture = scope["path"].rstrip("/") in _PICTURE_PATHS
        limit = self._max_bytes + _FORM_OVERHEAD_BYTES if takes_picture else _OTHER_BYTES
        announced = Headers(scope=scope).get("Content-Length", "0")
        if not announced.isdecimal() or int(announced) > limit:
            answer = self._problems.answer(scope["path"], "body_too_large", _message(limit))
            await answer(scope, receive, send)
            return
        await self._app(scope, _counted(receive, limit), send)


def _counted(receive: Receive, limit: int) -> Receive:
    """Raise an error that every ASGI app here turns into its own 413."""
    size = 0

    async def receive_counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise HTTPException(_TOO_LARGE, _message(limit))
        return message

    return receive_counted


def _message(limit: int) -> str:
    return f"The request has more than {limit / 1e6:.3g} MB. Send a smaller picture."

"""Limits on request bodies that act before anything parses them: how large, how slow, and how many at a time."""

import asyncio
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.errors import Problems
from web.middleware.rate_limit import client_of
from web.middleware.shares import Shares
from web.middleware.spooled import is_form

MOST_AT_ONCE = 128
"""Requests with a body that are answered at a time. Each may hold a megabyte of memory, and a picture on the disk."""
MOST_OF_A_CLIENT = 64
"""Of them, those of one client. Behind a proxy that nobody told us of all visitors are one: this is enough for them,
for about as many pictures may wait for their turn."""
_BUSY = "Too many requests are in progress. Wait for the answers to yours, or try again in a few seconds."

_PICTURE_PATHS = ("/predict", "/gradio_api/upload", "/page/photo")
_PICTURE_FORM = "/feedback"  # takes JSON, too
_FRAME_PATH = "/page/frame"
_FORM_OVERHEAD_BYTES = 64_000
_FRAME_BYTES = 2_000_000  # frames stay in memory; those of the page have a tenth of this
_OTHER_BYTES = 256_000  # events of the page and other JSON: no picture travels in these
_BODILESS = ("GET", "HEAD", "OPTIONS")
_SLOWEST_BYTES_PER_S = 20_000
_TOO_SLOW, _TOO_LARGE = 408, 413


class BodyLimit:
    """ASGI middleware: refuses a body by its announced length at once, and one without as soon as it is too long.

    A body must come at 20 kB/s after a time of grace, as Apache's mod_reqtimeout asks for; else the answer is 408.
    """

    def __init__(  # noqa: PLR0913 - all its limits
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        problems: Problems,
        trusted_proxies: int,
        grace_s: float = 15.0,
        most_at_once: int = MOST_AT_ONCE,
        most_of_a_client: int = MOST_OF_A_CLIENT,
    ) -> None:
        """Wrap an app.

        Args:
            app: The app.
            max_bytes: Of one picture; a form around it may take a little more.
            problems: Words the answer.
            trusted_proxies: How many forwarding hops to believe, to tell clients apart.
            grace_s: How long a body may take, however small it is.
            most_at_once: How many requests with a body may be in progress.
            most_of_a_client: How many of them may be of one client.
        """
        self._app = app
        self._max_bytes = max_bytes
        self._problems = problems
        self._grace_s = grace_s
        self._trusted_proxies = trusted_proxies
        self._in_progress = Shares(most=most_at_once, most_of_a_client=most_of_a_client)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413, or 503 where too many are in progress."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._limit(scope["path"].rstrip("/"), headers.get("Content-Type", ""))
        announced = headers.get("Content-Length", "0")
        if not announced.isdecimal() or int(announced) > limit:
            answer = self._problems.answer(scope["path"], "body_too_large", _message(limit))
            await answer(scope, receive, send)
            return
        receive = _Body(receive, limit=limit, grace_s=self._grace_s).receive
        if scope["method"] in _BODILESS:
            await self._app(scope, receive, send)
        else:
            await self._pass_on(scope, receive, send)

    def _limit(self, path: str, content_type: str) -> int:
        """How many bytes a body may have."""
        if path in _PICTURE_PATHS or (path == _PICTURE_FORM and is_form(content_type)):
            return self._max_bytes + _FORM_OVERHEAD_BYTES
        return min(_FRAME_BYTES, self._max_bytes) if path == _FRAME_PATH else _OTHER_BYTES

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request with a body on, if there is a place for it."""
        client = client_of(scope, trusted_proxies=self._trusted_proxies)
        if not self._in_progress.take(client):
            await self._problems.answer(scope["path"], "busy", _BUSY)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_progress.give_back(client)


class _Body:
    """One body on its way. Its errors are such that every ASGI app here turns them into its own 408 or 413."""

    def __init__(self, receive: Receive, *, limit: int, grace_s: float) -> None:
        self._receive = receive
        self._limit = limit
        self._patience_s = grace_s
        self._size = 0
        self._is_complete = False

    async def receive(self) -> Message:
        """The next part; once the body is complete, whatever else comes."""
        if self._is_complete:
            return await self._receive()
        message = await self._next_part()
        self._size += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        if self._size > self._limit:
            raise HTTPException(_TOO_LARGE, _message(self._limit))
        return message

    async def _next_part(self) -> Message:
        """Wait for the client, not longer than all that it has sent allows."""
        asked = time.monotonic()
        allowed_s = self._patience_s + self._size / _SLOWEST_BYTES_PER_S
        try:
            async with asyncio.timeout(allowed_s):
                return await self._receive()
        except TimeoutError:
            slow = "The request came too slowly. Try again with a better connection, or send a smaller picture."
            raise HTTPException(_TOO_SLOW, slow, {"Connection": "close"}) from None
        finally:
            self._patience_s -= time.monotonic() - asked


def _message(limit: int) -> str:
    return f"The request has more than {limit / 1e6:.3g} MB. Send a smaller picture."

"""Limits on request bodies that act before anything parses them: how large, how slow, and how many at a time."""

import asyncio
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.errors import ErrorResponses
from web.middleware.clients import ClientQuota, client_of
from web.route_table import BODILESS, Body, RouteTable

MOST_AT_ONCE = 128
"""Requests with a body in progress at a time. Each may hold a megabyte of memory, and a picture on the disk."""
MOST_OF_A_CLIENT = 64
"""Of them, those of one client. Behind a proxy that the settings do not name, all visitors count as one client."""
_BUSY = "Too many requests are in progress. Wait for the responses to yours, or try again in a few seconds."

_FORM_OVERHEAD_BYTES = 64_000
_FRAME_BYTES = 2_000_000  # frames stay in memory; those of the page have a tenth of this
_SMALL_BYTES = 256_000  # events of the page and other JSON without a picture
_SLOWEST_BYTES_PER_S = 20_000
_TOO_SLOW, _TOO_LARGE = 408, 413


class BodyLimit:
    """ASGI middleware: refuses a body by its announced length at once, or as soon as it turns out to be too long.

    After a grace period a body must arrive at 20 kB/s, as with Apache's mod_reqtimeout; otherwise the response is 408.
    """

    def __init__(  # noqa: PLR0913 - all its limits
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        errors: ErrorResponses,
        table: RouteTable,
        trusted_proxies: int,
        grace_s: float = 15.0,
        most_at_once: int = MOST_AT_ONCE,
        most_of_a_client: int = MOST_OF_A_CLIENT,
    ) -> None:
        """Wrap an app.

        Args:
            app: The app.
            max_bytes: Of one picture; a form around it may take a little more.
            errors: Words the refusals.
            table: Says what each route takes.
            trusted_proxies: Number of trusted proxies in front of the app, to tell clients apart.
            grace_s: How long a body may take, however small it is.
            most_at_once: How many requests with a body may be in progress.
            most_of_a_client: How many of them may be of one client.
        """
        self._app = app
        self._max_bytes = max_bytes
        self._errors = errors
        self._table = table
        self._grace_s = grace_s
        self._trusted_proxies = trusted_proxies
        self._in_progress = ClientQuota(most=most_at_once, most_of_a_client=most_of_a_client)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or respond with 413, or with 503 where too many are in progress."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._limit(scope, headers.get("Content-Type", ""))
        announced = headers.get("Content-Length", "0")
        if not announced.isdecimal() or int(announced) > limit:
            await self._errors.response(scope, "body_too_large", _message(limit))(scope, receive, send)
            return
        receive = _Body(receive, limit=limit, grace_s=self._grace_s).receive
        if scope["method"] in BODILESS:
            await self._app(scope, receive, send)
        else:
            await self._pass_on(scope, receive, send)

    def _limit(self, scope: Scope, content_type: str) -> int:
        """How many bytes a body may have."""
        match self._table.find(scope["method"], scope["path"]).body:
            case Body.FRAME:
                return min(_FRAME_BYTES, self._max_bytes)
            case Body.PICTURE if is_json(content_type):
                return self._max_bytes * 4 // 3 + _FORM_OVERHEAD_BYTES
            case Body.PICTURE:
                return self._max_bytes + _FORM_OVERHEAD_BYTES
            case Body.PICTURE_FORM if is_form(content_type):
                return self._max_bytes + _FORM_OVERHEAD_BYTES
        return _SMALL_BYTES

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request with a body on, if there is a place for it."""
        client = client_of(scope, trusted_proxies=self._trusted_proxies)
        if not self._in_progress.take(client):
            await self._errors.response(scope, "busy", _BUSY)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_progress.give_back(client)


class _Body:
    """A body on its way. It raises what every ASGI app here turns into its own 408 or 413."""

    def __init__(self, receive: Receive, *, limit: int, grace_s: float) -> None:
        self._receive = receive
        self._limit = limit
        self._patience_s = grace_s
        self._size = 0
        self._is_complete = False

    async def receive(self) -> Message:
        """The next part; once the body is complete, whatever else follows."""
        if self._is_complete:
            return await self._receive()
        message = await self._next_part()
        self._size += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        if self._size > self._limit:
            raise HTTPException(_TOO_LARGE, _message(self._limit))
        return message

    async def _next_part(self) -> Message:
        """Wait for the client, as long as what it has sent so far allows."""
        started = time.monotonic()
        allowed_s = self._patience_s + self._size / _SLOWEST_BYTES_PER_S
        try:
            async with asyncio.timeout(allowed_s):
                return await self._receive()
        except TimeoutError:
            slow = "The request arrived too slowly. Try again with a better connection, or send a smaller picture."
            raise HTTPException(_TOO_SLOW, slow, {"Connection": "close"}) from None
        finally:
            self._patience_s -= time.monotonic() - started


def replay(body: bytes, receive: Receive) -> Receive:
    """A body that was already read, once more; then whatever else follows."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


def is_form(content_type: str) -> bool:
    """Whether a body of this type is a form that may hold files."""
    return media_type(content_type) == "multipart/form-data"


def is_json(content_type: str) -> bool:
    """Whether a body of this type is JSON."""
    return media_type(content_type) == "application/json"


def media_type(content_type: str) -> str:
    """A Content-Type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def _message(limit: int) -> str:
    return f"The request is larger than {limit / 1e6:.3g} MB. Send a smaller picture."

"""Limits on connections: how many may be open, and how long one may take for its headers or to read a response."""

import asyncio
import uuid
from collections import OrderedDict
from typing import Any, Protocol

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from web.errors import RETRY_AFTER_S
from web.middleware.clients import ClientQuota, client_address

_HEALTH = "/health"
_TOO_MANY = "Too many connections are open. Close some, or try again in a few seconds."


class Connection(Protocol):
    """What can be closed."""

    def abort(self) -> None:
        """Close it at once, whatever it does."""


class Connections:
    """Counts open connections and decides whether another one is welcome.

    Beyond the limits a few more are held for as long as it takes to respond: 503 to everything but `/health`. The
    oldest of these is closed when another one comes, so that a flood of silent ones does not lock the health check
    out.
    """

    def __init__(self, *, most: int = 2000, most_of_a_client: int | None = None, most_refused: int = 64) -> None:
        """Start with none.

        Args:
            most: Of all clients together.
            most_of_a_client: Of one address, or one /64 network of IPv6; None where all come from a proxy's.
            most_refused: How many more may wait for their refusal.
        """
        self._quota = ClientQuota(most=most, most_of_a_client=most_of_a_client or most)
        self._most_refused = most_refused
        self._open: dict[Connection, str] = {}
        self._refused: OrderedDict[Connection, None] = OrderedDict()

    def opened(self, connection: Connection, address: str) -> bool:
        """Count one from an address; returns whether it is welcome."""
        client = client_address(address, (), trusted_proxies=0)
        if self._quota.take(client):
            self._open[connection] = client
            return True
        self._refused[connection] = None
        if len(self._refused) > self._most_refused:
            self._refused.popitem(last=False)[0].abort()
        return False

    def closed(self, connection: Connection) -> None:
        """Count one less."""
        client = self._open.pop(connection, None)
        if client is None:
            self._refused.pop(connection, None)
        else:
            self._quota.give_back(client)


def only_health(app: ASGIApp) -> ASGIApp:
    """The app for a connection beyond the limits."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == _HEALTH:
            await app(scope, receive, send)
            return
        content = {"error": "busy", "detail": _TOO_MANY, "request_id": uuid.uuid4().hex}
        headers = {"Retry-After": RETRY_AFTER_S, "Connection": "close"}
        await JSONResponse(content, 503, headers=headers)(scope, receive, send)

    return respond


class PunctualProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with two deadlines and a limit that it lacks; bodies are left to `BodyLimit`.

    A connection is closed when a request's headers are not complete within `headers_within_s` of the opening of the
    connection or of the first byte after the last response (slowloris), when the client reads nothing of a response for
    `read_within_s`, and when a request has more than `most_beside_body` bytes of headers, trailers and chunk headers.
    A connection beyond the limits is told so.
    """

    connections_open = Connections()

    headers_within_s = 15.0
    read_within_s = 30.0
    most_beside_body = 128_000

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._headers_due: asyncio.TimerHandle | None = None
        self._reading_due: asyncio.TimerHandle | None = None
        self._beside_body = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connects."""
        super().connection_made(transport)
        if not self.connections_open.opened(self, self.client[0] if self.client else ""):
            self.app = only_health(self.app)
        self._expect_headers()

    def abort(self) -> None:
        """Close the connection at once, whatever it does."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes arrive: of a request in progress, or of the next."""
        if self.cycle is None or self.cycle.response_complete:
            self._expect_headers()
        self._beside_body += len(data)
        super().data_received(data)
        if self._beside_body > self.most_beside_body:
            self._give_up()

    def on_message_begin(self) -> None:
        """A request begins, perhaps in the middle of what arrived."""
        self._beside_body = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """A part of the body has arrived."""
        self._beside_body -= len(body) + len(body) // 8  # short chunks need that many bytes between them
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """The headers are complete."""
        self._stop_expecting()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The client reads more slowly than the response is written."""
        super().pause_writing()
        self._stop_watching()
        self._reading_due = self.loop.call_later(self.read_within_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read most of what was written."""
        super().resume_writing()
        self._stop_watching()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over, whoever ended it."""
        self.connections_open.closed(self)
        self._stop_expecting()
        self._stop_watching()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        if self._headers_due is None:
            self._headers_due = self.loop.call_later(self.headers_within_s, self._headers_are_late)

    def _stop_expecting(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None

    def _stop_watching(self) -> None:
        if self._reading_due is not None:
            self._reading_due.cancel()
            self._reading_due = None

    def _give_up(self) -> None:
        if self.cycle is not None:  # else the response in progress would be written to a closed transport
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _headers_are_late(self) -> None:
        self._headers_due = None
        self.transport.close()

"""Clients that hold connections: too many of them, or with so little on them that their time is over at some point."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from web.middleware.connection_count import Connections, only_health


class PunctualProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with two deadlines and a limit that it lacks; bodies are the affair of `BodyLimit`.

    A connection is closed when a request's headers are not complete in `headers_within_s`, counted from the opening
    of the connection or from what follows the last answer, and when nothing was read of an answer for `read_within_s`.
    So it is when a request brings more than `most_beside_body` bytes of headers, trailers and marks between chunks.
    One connection too many hears so.
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
        """Bytes come: of a request in progress, or of the next."""
        if self.cycle is None or self.cycle.response_complete:
            self._expect_headers()
        self._beside_body += len(data)
        super().data_received(data)
        if self._beside_body > self.most_beside_body:
            self._give_up()

    def on_message_begin(self) -> None:
        """A request begins, perhaps in the middle of what came."""
        self._beside_body = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """A part of the body is there."""
        self._beside_body -= len(body) + len(body) // 8  # short chunks need that many marks
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """The headers are there."""
        self._stop_expecting()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer is written."""
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
        if self.cycle is not None:  # else the answer in progress would be written to what is closed
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _headers_are_late(self) -> None:
        self._headers_due = None
        self.transport.close()

"""How many connections may be open: each costs memory and a file, even one on which nothing is ever asked."""

import uuid
from collections import OrderedDict
from typing import Protocol

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from web.middleware.clients import client_address
from web.middleware.shares import Shares

_HEALTH = "/health"
_RETRY_AFTER_S = "5"
_TOO_MANY = "Too many connections are open. Close some, or try again in a few seconds."


class Connection(Protocol):
    """What can be closed."""

    def abort(self) -> None:
        """Close it at once, whatever it does."""


class Connections:
    """Counts those that are open, and says whether one more is welcome.

    Beyond the bounds a few more are held for as long as it takes to answer them: 503 to everything but `/health`. Of
    these, the oldest goes when another comes, so that a flood of silent ones does not keep the health check out.
    """

    def __init__(self, *, most: int = 2000, most_of_a_client: int | None = None, most_refused: int = 64) -> None:
        """Begin with none.

        Args:
            most: Of all clients together.
            most_of_a_client: Of one address, or one /64 network of IPv6; None where all come from a proxy's.
            most_refused: How many more may wait to hear that they are too many.
        """
        self._shares = Shares(most=most, most_of_a_client=most_of_a_client or most)
        self._most_refused = most_refused
        self._open: dict[Connection, str] = {}
        self._refused: OrderedDict[Connection, None] = OrderedDict()

    def opened(self, connection: Connection, address: str) -> bool:
        """Count one that comes from an address; returns whether it is welcome."""
        client = client_address(address, (), trusted_proxies=0)
        if self._shares.take(client):
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
            self._shares.give_back(client)


def only_health(app: ASGIApp) -> ASGIApp:
    """An app for a connection that is one too many."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == _HEALTH:
            await app(scope, receive, send)
            return
        content = {"error": "busy", "detail": _TOO_MANY, "request_id": uuid.uuid4().hex}
        headers = {"Retry-After": _RETRY_AFTER_S, "Connection": "close"}
        await JSONResponse(content, 503, headers=headers)(scope, receive, send)

    return answer

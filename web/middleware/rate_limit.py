"""Rate limits per client, before a request's body is read."""

import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from catdog.errors import RateLimitedError, SettingsError
from web.errors import Problems
from web.middleware.clients import client_address

PREDICTIONS = "predictions"
FEEDBACK = "feedback"
UPLOADS = "uploads"

_COSTLY = {
    ("POST", "/predict"): PREDICTIONS,
    ("POST", "/page/photo"): PREDICTIONS,
    ("POST", "/page/frame"): PREDICTIONS,
    ("POST", "/page/url"): PREDICTIONS,
    ("POST", "/page/why"): PREDICTIONS,
    ("POST", "/gradio_api/queue/join"): PREDICTIONS,
    ("POST", "/gradio_api/run/predict"): PREDICTIONS,
    ("POST", "/gradio_api/mcp"): PREDICTIONS,
    ("POST", "/gradio_api/upload"): UPLOADS,
    ("GET", "/gradio_api/upload_progress"): UPLOADS,
    ("POST", "/feedback"): FEEDBACK,
    ("DELETE", "/feedback"): FEEDBACK,
}
_CALL = "/gradio_api/call/"
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_RATE = re.compile(rf"([1-9]\d*)\s*/\s*({'|'.join(_SECONDS)})")
_ROUNDING_S = 1e-6
MAX_CLIENTS = 100_000


def client_of(scope: Scope, *, trusted_proxies: int) -> str:
    """The address of the client behind a request."""
    peer = scope["client"][0] if scope.get("client") else "unknown"
    forwarded_for = Headers(scope=scope).getlist("X-Forwarded-For")
    return client_address(peer, forwarded_for, trusted_proxies=trusted_proxies)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds. A client may send them all at once, and then waits for more to accrue."""

    requests: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rate such as `600/minute`.

        Raises:
            SettingsError: it cannot be understood.
        """
        match = _RATE.fullmatch(text.strip().lower())
        if not match:
            raise SettingsError(
                f"{text!r} is no rate. Set CATDOG_RATE_LIMIT and CATDOG_FEEDBACK_LIMIT to something like 600/minute."
            )
        return cls(int(match[1]), _SECONDS[match[2]])


class RateLimiter:
    """Counts what each client does, by kind of request. Safe to use from many threads.

    Of each client it keeps one number, the time at which its whole share will have accrued again (the generic cell
    rate algorithm of ATM networks, ITU-T I.371), so that a flood from many addresses costs little.
    """

    def __init__(
        self, rates: Mapping[str, str], *, max_clients: int = MAX_CLIENTS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make a limiter.

        Args:
            rates: By kind, such as `600/minute`.
            max_clients: How many to remember of each kind; beyond that, those longest known are forgotten.
            clock: Seconds since whenever.

        Raises:
            SettingsError: a rate cannot be understood.
        """
        self._rates = {kind: Rate.parse(rate) for kind, rate in rates.items()}
        self._full_at: dict[str, OrderedDict[str, float]] = {kind: OrderedDict() for kind in rates}
        self._max_clients = max_clients
        self._clock = clock
        self._lock = threading.Lock()

    def check(self, kind: str, client: str) -> None:
        """Count one request.

        Raises:
            RateLimitedError: the client has had its share; the request is not counted.
        """
        rate, full_at, now = self._rates[kind], self._full_at[kind], self._clock()
        with self._lock:
            full = max(full_at.get(client, now), now) + rate.seconds / rate.requests
            wait_s = full - now - rate.seconds
            if wait_s <= _ROUNDING_S:
                full_at[client] = full
                full_at.move_to_end(client)
                if len(full_at) > self._max_clients:
                    full_at.popitem(last=False)
                return
        raise RateLimitedError(f"Too many requests. Try again in {math.ceil(wait_s)} s.", retry_after_s=wait_s)


class RateLimits:
    """ASGI middleware: refuses costly requests of a client that has had its share."""

    def __init__(self, app: ASGIApp, *, limiter: RateLimiter, problems: Problems, trusted_proxies: int) -> None:
        self._app = app
        self._limiter = limiter
        self._problems = problems
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429."""
        kind = _kind(scope) if scope["type"] == "http" else None
        if kind:
            try:
                self._limiter.check(kind, client_of(scope, trusted_proxies=self._trusted_proxies))
            except RateLimitedError as error:
                await self._problems.from_error(scope["path"], error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _kind(scope: Scope) -> str | None:
    path = scope["path"].rstrip("/")
    if path.startswith(_CALL) and scope["method"] == "POST":
        return PREDICTIONS
    return _COSTLY.get((scope["method"], path))

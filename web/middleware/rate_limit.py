"""Rate limits per client, checked before a request's body is read."""

import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catdog.errors import RateLimitedError, SettingsError
from web.errors import ErrorResponses
from web.middleware.clients import client_of
from web.route_table import Cost, RouteTable

_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_RATE = re.compile(rf"([1-9]\d*)\s*/\s*({'|'.join(_SECONDS)})")
_ROUNDING_S = 1e-6
MAX_CLIENTS = 100_000


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of requests in a number of seconds. A client may send them all at once, then has to wait."""

    requests: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rate such as `600/minute`.

        Raises:
            SettingsError: it is not a valid rate.
        """
        match = _RATE.fullmatch(text.strip().lower())
        if not match:
            raise SettingsError(
                f"{text!r} is not a valid rate. Set CATDOG_RATE_LIMIT and CATDOG_FEEDBACK_LIMIT to one like 600/minute."
            )
        return cls(int(match[1]), _SECONDS[match[2]])


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left to a client, as draft-ietf-httpapi-ratelimit-headers words it."""

    name: str
    rate: Rate
    remaining: int
    full_in_s: float
    """When the whole allowance is available again."""

    def headers(self) -> dict[str, str]:
        """`RateLimit-Policy` and `RateLimit`."""
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.rate.requests};w={self.rate.seconds:.0f}',
            "RateLimit": f'"{self.name}";r={self.remaining};t={math.ceil(self.full_in_s)}',
        }


class RateLimiter:
    """Counts what each client does, by kind of request. Safe to use from many threads.

    It keeps one number for each client, the time at which the whole allowance is available again (the generic cell
    rate algorithm of ATM networks, ITU-T I.371), so that a flood from many addresses costs little.
    """

    def __init__(
        self, rates: Mapping[str, str], *, max_clients: int = MAX_CLIENTS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make a limiter.

        Args:
            rates: By kind, such as `600/minute`.
            max_clients: How many to remember of each kind; beyond that, the oldest are forgotten.
            clock: Seconds, of any origin.

        Raises:
            SettingsError: a rate is not valid.
        """
        self._rates = {kind: Rate.parse(rate) for kind, rate in rates.items()}
        self._full_at: dict[str, OrderedDict[str, float]] = {kind: OrderedDict() for kind in rates}
        self._max_clients = max_clients
        self._clock = clock
        self._lock = threading.Lock()

    def check(self, kind: str, client: str) -> Allowance:
        """Count one request; returns what is left.

        Raises:
            RateLimitedError: the client has used up its allowance; the request is not counted.
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
                return self._left(kind, full - now)
        raise RateLimitedError(f"Too many requests. Try again in {math.ceil(wait_s)} s.", retry_after_s=wait_s)

    def is_used_up(self, kind: str, client: str) -> bool:
        """Whether a client would be refused now; counts nothing."""
        rate, now = self._rates[kind], self._clock()
        with self._lock:
            full = self._full_at[kind].get(client, now)
        return full - now + rate.seconds / rate.requests - rate.seconds > _ROUNDING_S

    def none_left(self, kind: str, retry_after_s: float) -> Allowance:
        """The allowance of a client that was refused."""
        return Allowance(kind, self._rates[kind], 0, retry_after_s)

    def _left(self, kind: str, full_in_s: float) -> Allowance:
        rate = self._rates[kind]
        used = full_in_s * rate.requests / rate.seconds
        return Allowance(kind, rate, max(0, math.floor(rate.requests - used + _ROUNDING_S)), full_in_s)


class RateLimits:
    """ASGI middleware: refuses costly requests of a client that has used up its allowance."""

    def __init__(
        self, app: ASGIApp, *, limiter: RateLimiter, errors: ErrorResponses, table: RouteTable, trusted_proxies: int
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._errors = errors
        self._table = table
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or respond with 429."""
        cost = self._table.find(scope["method"], scope["path"]).cost if scope["type"] == "http" else Cost.FREE
        if cost is not Cost.FREE:
            client = client_of(scope, trusted_proxies=self._trusted_proxies)
            try:
                send = _with_headers(send, self._limiter.check(cost.allowance, client))
            except RateLimitedError as error:
                refusal = self._errors.from_error(scope, error)
                refusal.headers.update(self._limiter.none_left(cost.allowance, error.retry_after_s).headers())
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _with_headers(send: Send, allowance: Allowance) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(allowance.headers())
        await send(message)

    return sending

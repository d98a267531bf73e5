"""Rate limits per client, before a request's body is read."""

import time
from collections.abc import Mapping

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from catdog.errors import RateLimitedError, SettingsError
from web.addresses import client_address
from web.problems import Problems

PREDICTIONS = "predictions"
FEEDBACK = "feedback"
UPLOADS = "uploads"

_COSTLY = {
    ("POST", "/predict"): PREDICTIONS,
    ("POST", "/gradio_api/queue/join"): PREDICTIONS,
    ("POST", "/gradio_api/upload"): UPLOADS,
    ("POST", "/feedback"): FEEDBACK,
    ("DELETE", "/feedback"): FEEDBACK,
}
_CALL = "/gradio_api/call/"


def client_of(scope: Scope, *, trusted_proxies: int) -> str:
    """The address of the client behind a request."""
    peer = scope["client"][0] if scope.get("client") else "unknown"
    forwarded_for = Headers(scope=scope).getlist("X-Forwarded-For")
    return client_address(peer, forwarded_for, trusted_proxies=trusted_proxies)


class RateLimiter:
    """Counts what each client does, by kind of request."""

    def __init__(self, rates: Mapping[str, str]) -> None:
        """Make a limiter.

        Args:
            rates: By kind, such as `600/minute`.

        Raises:
            SettingsError: a rate cannot be understood.
        """
        self._rates = {kind: _parse(rate) for kind, rate in rates.items()}
        self._windows = SlidingWindowCounterRateLimiter(MemoryStorage())

    def check(self, kind: str, client: str) -> None:
        """Count one request.

        Raises:
            RateLimitedError: the client has had its share; the request is not counted.
        """
        rate = self._rates[kind]
        if not self._windows.hit(rate, kind, client):
            wait_s = max(1.0, self._windows.get_window_stats(rate, kind, client).reset_time - time.time())
            raise RateLimitedError(f"Too many requests. Try again in {wait_s:.0f} seconds.", retry_after_s=wait_s)


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


def _parse(rate: str) -> RateLimitItem:
    try:
        return parse(rate)
    except ValueError:
        raise SettingsError(
            f"{rate!r} is no rate. Set CATDOG_RATE_LIMIT and CATDOG_FEEDBACK_LIMIT to something like 600/minute."
        ) from None

"""Requests that another website makes a visitor's browser send are refused where they would change something."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from web.errors import Problems

_READING = ("GET", "HEAD", "OPTIONS")
_OWN = ("same-origin", "none")
_REFUSED = "This request came from another website. Open the page itself, or call the API from a program."


class SameSite:
    """ASGI middleware: 403 to requests that change something and come from another website's page.

    Browsers say where a request comes from in `Sec-Fetch-Site`, older ones in `Origin` alone; no page can forge
    either. Programs send neither and are let through: they have no visitor's rights to misuse. This is the method of
    Go's `net/http.CrossOriginProtection` (https://words.filippo.io/csrf).
    """

    def __init__(self, app: ASGIApp, *, problems: Problems, is_welcome: Callable[[Scope], bool]) -> None:
        """Wrap an app.

        Args:
            app: The app.
            problems: Words the refusal.
            is_welcome: Whether a request may come from the page of another website that it comes from.
        """
        self._app = app
        self._problems = problems
        self._is_welcome = is_welcome

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if self._is_refused(scope):
            await self._problems.answer(scope["path"], "forbidden", _REFUSED)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_refused(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] in _READING:
            return False
        return _is_foreign(Headers(scope=scope)) and not self._is_welcome(scope)


def _is_foreign(headers: Headers) -> bool:
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in _OWN
    origin = headers.get("Origin")  # scheme://host, and nothing else where a browser wrote it
    return origin is not None and origin.partition("://")[2] != headers.get("Host")

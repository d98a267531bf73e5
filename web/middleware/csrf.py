"""Requests from other websites' pages: refused where they change something, except from the origins in the settings."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from web.errors import ErrorResponses
from web.middleware.public_url import ASKED_HOST
from web.route_table import BODILESS, RouteTable

_OWN = ("same-origin", "none")
_REFUSED = (
    "This request came from another website. Open the page itself, or call the API from a program. "
    "If this is the page itself, the proxy in front of it changes the Host header: set CATDOG_PUBLIC_URL."
)
_METHODS = ("GET", "POST", "DELETE")
_EXPOSED = ("Retry-After", "RateLimit", "RateLimit-Policy")


class Csrf:
    """ASGI middleware: 403 to requests that change something and come from another website's page.

    Browsers state the origin of a request in `Sec-Fetch-Site`, older ones only in `Origin`; no page can forge either.
    Programs send neither and are let through: they have no visitor's rights to misuse. This is the method of Go's
    `net/http.CrossOriginProtection` (https://words.filippo.io/csrf).
    """

    def __init__(self, app: ASGIApp, *, errors: ErrorResponses, table: RouteTable, origins: Collection[str]) -> None:
        """Wrap an app.

        Args:
            app: The app.
            errors: Words the refusal.
            table: Says which routes the listed origins may call.
            origins: Those whose pages may call them.
        """
        self._app = app
        self._errors = errors
        self._table = table
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or respond with 403."""
        if self._is_refused(scope):
            await self._errors.response(scope, "forbidden", _REFUSED)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_refused(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] in BODILESS:
            return False
        headers = Headers(scope=scope)
        return _is_foreign(scope, headers) and not self._is_allowed(scope, headers)

    def _is_allowed(self, scope: Scope, headers: Headers) -> bool:
        return headers.get("Origin") in self._origins and self._table.find(scope["method"], scope["path"]).cors


def _is_foreign(scope: Scope, headers: Headers) -> bool:
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in _OWN
    origin = headers.get("Origin")  # scheme://host, and nothing else where a browser wrote it
    if origin is None:
        return False
    asked = origin.partition("://")[2]
    return not any(_is_same_host(asked, host) for host in (headers.get("Host", ""), scope.get(ASKED_HOST, "")))


def _is_same_host(asked: str, host: str) -> bool:
    """Whether an origin's host is a `Host`; a proxy may have dropped the port from that one (nginx's `$host`)."""
    return bool(host) and (asked == host or (asked.rpartition(":")[0] == host and asked.rpartition(":")[2].isdecimal()))


class Cors:
    """ASGI middleware: cross-origin resource sharing for the routes whose entry says so, and the listed origins.

    It answers preflight requests, and lets those origins read responses. No cookies are allowed.
    """

    def __init__(self, app: ASGIApp, *, table: RouteTable, origins: Collection[str]) -> None:
        self._app = app
        self._table = table
        self._shared = CORSMiddleware(
            app, allow_origins=origins, allow_methods=_METHODS, allow_headers=["Content-Type"], expose_headers=_EXPOSED
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        await (self._shared if self._is_shared(scope) else self._app)(scope, receive, send)

    def _is_shared(self, scope: Scope) -> bool:
        if scope["type"] != "http":
            return False
        method = scope["method"]
        if method == "OPTIONS":
            method = Headers(scope=scope).get("Access-Control-Request-Method", "")
        return self._table.find(method, scope["path"]).cors

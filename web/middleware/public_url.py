"""The address that visitors use, where a proxy in front of the app hides it."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ASKED_HOST = "catdog.asked_host"
"""Key in a scope: the `Host` that the request came with."""
IS_PUBLIC_URL_SET = "catdog.public_url"
"""Key in a scope: whether scheme and host come from the settings."""

_FROM_PROXIES = (b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-prefix", b"forwarded")
_STREAM = "text/event-stream"


class PublicUrl:
    """ASGI middleware: lets everything behind it see scheme, host and sub-path of CATDOG_PUBLIC_URL, if it is set.

    So links, the page's own requests, the check of origins and cookies fit the address in the visitor's browser,
    whatever the proxy passes on, and whether it strips the sub-path or not. Event streams get the header that keeps
    nginx from holding them back.
    """

    def __init__(self, app: ASGIApp, *, public_url: str) -> None:
        """Wrap an app; an empty `public_url` leaves requests as they are."""
        parts = urlsplit(public_url)
        self._app = app
        self._scheme, self._host, self._prefix = parts.scheme, parts.netloc, parts.path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._app(self._seen_by_visitors(scope) if self._host else scope, receive, _unbuffered(send))

    def _seen_by_visitors(self, scope: Scope) -> Scope:
        headers = [pair for pair in scope["headers"] if pair[0] != b"host" and pair[0] not in _FROM_PROXIES]
        path = scope["path"]
        if self._prefix and f"{path}/".startswith(f"{self._prefix}/"):
            path = path.removeprefix(self._prefix) or "/"
        return {
            **scope,
            "scheme": self._scheme,
            "headers": [(b"host", self._host.encode("ascii", "replace")), *headers],
            "root_path": self._prefix,
            "path": path,
            "raw_path": path.encode(),
            ASKED_HOST: Headers(scope=scope).get("Host", ""),
            IS_PUBLIC_URL_SET: True,
        }


def _unbuffered(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if headers.get("Content-Type", "").startswith(_STREAM):
                headers["X-Accel-Buffering"] = "no"
        await send(message)

    return sending

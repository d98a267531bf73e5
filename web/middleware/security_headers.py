"""Security headers of every response: what a page may load and do, and who may show it in a frame.

The page's own policy has a nonce, new in each response, for the scripts that Gradio writes into the page. It allows
`unsafe-eval`, since Gradio turns the JavaScript of events and the templates of HTML components from text into
functions, and inline styles, since its components set them. Everything else gets a policy that allows nothing.
"""

import gzip
import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HUGGING_FACE = "https://huggingface.co https://*.huggingface.co https://*.hf.space"
_PAGE = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:{more}; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:{more}; worker-src 'self' blob:; manifest-src 'self'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self' " + _HUGGING_FACE
)
_DOCS = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()",
}
_HTML = "text/html"
_GZIP_LEVEL = 5
_SCRIPT_TAG = re.compile(rb"<script(?=[\s>])")


class SecurityHeaders:
    """ASGI middleware: adds these headers to every response; a header that a route has set stays."""

    def __init__(self, app: ASGIApp, *, is_space: bool) -> None:
        """Wrap an app.

        Args:
            app: The app.
            is_space: Whether it runs as a Space, where Gradio shows a header with data of huggingface.co.
        """
        self._app = app
        self._more = " https://huggingface.co https://*.huggingface.co" if is_space else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the response back with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sending: Send
        if scope["path"] == "/":
            gzips = "gzip" in Headers(scope=scope).get("Accept-Encoding", "")
            headers = [header for header in scope["headers"] if header[0] != b"accept-encoding"]
            scope = {**scope, "headers": headers}  # the nonce cannot be put into a compressed page
            sending = _Page(send, more=self._more, gzips=gzips).send
        else:
            policy = _DOCS if scope["path"].rstrip("/") == "/docs" else _NOTHING
            sending = _with_headers(send, policy)
        await self._app(scope, receive, sending)


def _with_headers(send: Send, policy: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            _add(MutableHeaders(scope=message), policy)
        await send(message)

    return sending


def _add(headers: MutableHeaders, policy: str) -> None:
    headers.setdefault("Content-Security-Policy", policy)
    for name, value in _ALWAYS.items():
        headers.setdefault(name, value)


class _Page:
    """The page's HTML, held back until it is complete, so that its scripts get the nonce."""

    def __init__(self, send: Send, *, more: str, gzips: bool) -> None:
        self._send = send
        self._gzips = gzips
        self._more = more
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """Take one message of the response."""
        if message["type"] == "http.response.start":
            if not MutableHeaders(scope=message).get("Content-Type", "").startswith(_HTML):
                _add(MutableHeaders(scope=message), _NOTHING)
                await self._send(message)
                return
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_page(self._start)

    async def _send_page(self, start: Message) -> None:
        nonce = secrets.token_urlsafe(16)
        body = _SCRIPT_TAG.sub(f'<script nonce="{nonce}"'.encode(), bytes(self._body))
        headers = MutableHeaders(scope=start)
        _add(headers, _PAGE.format(nonce=nonce, more=self._more))
        headers["Cache-Control"] = "no-store"  # a nonce is for one response
        if self._gzips and body:
            body = gzip.compress(body, _GZIP_LEVEL)
            headers["Content-Encoding"] = "gzip"
        headers.add_vary_header("Accept-Encoding")
        if body:
            headers["Content-Length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

"""The head of the page: its icon, its scripts, and what social networks show, in place of Gradio's own."""

import re
from collections.abc import Callable, Sequence
from html import escape

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.i18n.texts import ENGLISH
from web.page.assets import SCRIPTS

# Gradio puts the page together bit by bit, and brings the style sheet late: nothing is shown before it is at its place.
_STYLE = (
    "<style>.gradio-container{width:100%!important;max-width:1080px!important;margin:0 auto!important}"
    ".gradio-container:not(:has(#foot p):has(#url input):has(#photo [data-testid=image])) :is(main,footer)"
    "{visibility:hidden}</style>"
)
_PRELOADED = "".join(f'<link rel="modulepreload" href="./assets/{name}">' for name in SCRIPTS)
_GRADIO = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*|<link\s+rel="icon"[^>]*>\s*', re.IGNORECASE)


class PageHead:
    """ASGI app around Gradio's: the page's HTML gets a head of our own."""

    def __init__(self, app: ASGIApp, *, labels: Callable[[], Sequence[str]]) -> None:
        self._app = app
        self._labels = labels

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; of the page, keep the answer back until it is complete."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        base = f"{scope['scheme']}://{headers.get('Host', 'localhost')}{scope.get('root_path', '')}"
        plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
        page = _Page(send, head_html(self._labels(), base.rstrip("/")))
        await self._app({**scope, "headers": plain}, receive, page.send)


def head_html(labels: Sequence[str], base: str) -> str:
    """Icon, scripts and social preview.

    Args:
        labels: The model's.
        base: The address of the page, without a slash at its end: social networks want whole addresses.
    """
    title, about, image = escape(ENGLISH.title(labels)), escape(ENGLISH.tagline), escape(f"{base}/page/preview.png")
    return (
        '<link rel="icon" type="image/svg+xml" href="./page/icon.svg">'
        f'<meta name="description" content="{about}"><meta property="og:type" content="website">'
        f'<meta property="og:title" content="{title}"><meta property="og:description" content="{about}">'
        f'<meta property="og:image" content="{image}"><meta property="og:image:width" content="1200">'
        '<meta property="og:image:height" content="630"><meta name="twitter:card" content="summary_large_image">'
        f'<script type="module" src="./page/page.js"></script>{_PRELOADED}{_STYLE}'
    )


class _Page:
    """Collects the HTML and sends it with the other head."""

    def __init__(self, send: Send, head: str) -> None:
        self._send = send
        self._head = head
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """Take one message of the answer."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if self._start is None or message.get("more_body", False):
            return
        html = _GRADIO.sub("", self._body.decode("utf-8", "replace")).replace("</head>", f"{self._head}</head>", 1)
        body = html.encode()
        MutableHeaders(scope=self._start)["Content-Length"] = str(len(body))
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})

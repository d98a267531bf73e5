"""The page's HTML as visitors get it: their language, our head, and a first view that needs no script."""

import json
import re
from collections.abc import Callable, Mapping
from html import escape

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.i18n import Texts, choose_language
from web.page.examples import EXAMPLE_PATH
from web.page.html import first_html
from web.page.routes import SCRIPTS

Words = Callable[[Texts], Mapping[str, str]]
"""The parts of the page that are words alone, by name; see `web.page.html.page_words`."""

_WORD = re.compile(r"%%(\w+)%%")
_DROPPED = re.compile(
    r'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*|<link\s+rel="(?:icon|manifest)"[^>]*>\s*|<title>.*?</title>',
    re.IGNORECASE | re.DOTALL,
)
_STYLESHEET = re.compile(r'<link\s+rel="stylesheet"[^>]*>\s*')
_BODY = re.compile(r"<body[^>]*>")
# Gradio puts the page together bit by bit, and brings the style sheet late: until all is in place, `first` is shown.
_STYLE = (
    "<style>.gradio-container{width:100%!important;max-width:1080px!important;margin:0 auto!important}"
    "html:not(.ready) gradio-app{visibility:hidden}html.ready #first{display:none}"
    "#first{position:absolute;z-index:1;inset:0 0 auto;box-sizing:border-box;max-width:1080px;margin:0 auto;"
    "padding:1.4rem 1rem 0;font:16px/1.5 ui-rounded,'SF Pro Rounded','Segoe UI',system-ui,sans-serif}"
    "#first h1{font-size:clamp(2rem,6vw,2.75rem);line-height:1.15;font-weight:800;letter-spacing:-.02em;margin:0}"
    "#first p{margin:.35rem 0 1rem;opacity:.75}#first label{display:grid;place-content:center;justify-items:center;"
    "gap:.6rem;box-sizing:border-box;width:calc((100% - 1rem)*6/11);height:min(420px,48svh);border:2px dashed #a8a29e;"
    "border-radius:20px;font-size:1.15rem;font-weight:650;cursor:pointer;position:relative}"
    "#first input{position:absolute;inset:0;opacity:0;font-size:0;cursor:pointer}"
    "#first label:focus-within{outline:3px solid #f97316;outline-offset:2px}"
    "#first img{position:absolute;inset:0;width:100%;height:100%;object-fit:contain;border-radius:18px}"
    "#first output{position:absolute;inset:auto 0 0;padding:.7rem 1rem;border-radius:0 0 18px 18px;"
    "background:rgb(0 0 0/72%);color:#fff}"
    "@media(max-width:640px){#first label{width:100%;height:min(300px,38svh)}}</style>"
)


_PRELOADED = "".join(f'<link rel="modulepreload" href="./page/{name}.js">' for name in SCRIPTS)
"""All at once: found one by one, each import costs a round trip."""


class PageHead:
    """ASGI app around Gradio's: puts the visitor's language and a head of our own into the page."""

    def __init__(self, app: ASGIApp, *, words: Words) -> None:
        self._app = app
        self._words = words

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; the page and its configuration are held back until they are complete."""
        path = scope["path"] if scope["type"] == "http" and scope["method"] == "GET" else None
        if path not in ("/", "/config", "/gradio_api/info"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        texts = choose_language(headers.get("Accept-Language", ""), cookie_parser(headers.get("Cookie", "")))
        words = dict(self._words(texts))
        base = f"{scope['scheme']}://{headers.get('Host', 'localhost')}{scope.get('root_path', '')}".rstrip("/")
        words["example"] = f"{base}{EXAMPLE_PATH}{words.get('first_example', '')}"
        plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]

        def finish(body: str) -> str:
            filled = fill(body, words)
            return with_head(filled, words, texts, base) if path == "/" else filled

        await self._app({**scope, "headers": plain}, receive, _Whole(send, finish).send)


def fill(configuration: str, words: Mapping[str, str]) -> str:
    """Put words into JSON that stands in HTML."""
    return _WORD.sub(lambda match: _as_json(words.get(match[1], match[0])), configuration)


def with_head(html: str, words: Mapping[str, str], texts: Texts, base: str) -> str:
    """Gradio's page with our title, icon, scripts, social preview and first view.

    Args:
        html: The page.
        words: See `Words`.
        texts: The visitor's language.
        base: The page's address without a slash at its end: social networks need whole addresses.
    """
    html = _DROPPED.sub("", html).replace('lang="en"', f'lang="{texts.language}"', 1)
    late = "".join(_STYLESHEET.findall(html))  # at the end, so that nothing waits for it
    html = _STYLESHEET.sub("", html)
    html = html.replace("</head>", f"{head_html(words['title'], texts, base)}</head>", 1)
    html = _BODY.sub(lambda match: match[0] + first_html(words, texts), html, count=1)
    return html.replace("</body>", f"{late}</body>", 1)


def head_html(title: str, texts: Texts, base: str) -> str:
    """Title, icon, manifest, scripts and social preview, in one language."""
    name, about, image = escape(title), escape(texts.tagline), escape(f"{base}/page/preview.png")
    language = json.dumps(texts.language)
    return (
        f"<title>{name}</title>"
        '<link rel="icon" type="image/svg+xml" href="./page/icon.svg"><link rel="manifest" href="./manifest.json">'
        '<link rel="apple-touch-icon" href="./page/icon-192.png">'
        f'<meta name="description" content="{about}"><meta property="og:type" content="website">'
        f'<meta property="og:title" content="{name}"><meta property="og:description" content="{about}">'
        f'<meta property="og:image" content="{image}"><meta property="og:image:width" content="1200">'
        '<meta property="og:image:height" content="630"><meta name="twitter:card" content="summary_large_image">'
        # Gradio's own words, few as they are, follow the browser's first language: that is the page's now.
        f'<script>for(const [name,value] of [["language",{language}],["languages",[{language}]]])'
        "Object.defineProperty(navigator,name,{value,configurable:true})</script>"
        f'{_PRELOADED}<script type="module" async src="./page/page.js"></script>{_STYLE}'
    )


def _as_json(text: str) -> str:
    inner = json.dumps(text)[1:-1]
    return inner.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").replace("'", "\\u0027")


class _Whole:
    """Collects a response and sends it once it is complete, changed."""

    def __init__(self, send: Send, change: Callable[[str], str]) -> None:
        self._send = send
        self._change = change
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """Take one message of the response."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if self._start is None or message.get("more_body", False):
            return
        body = self._change(self._body.decode("utf-8", "replace")).encode()
        headers = MutableHeaders(scope=self._start)
        headers["Content-Length"] = str(len(body))
        headers.add_vary_header("Accept-Language")
        headers.add_vary_header("Cookie")
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})

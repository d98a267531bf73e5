"""Gradio's scripts and style sheets: compressed once, where Gradio would do it again for every visitor."""

from collections import OrderedDict
from typing import NamedTuple

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BELOW = "/assets/"
_ALL_BYTES, _LARGEST_BYTES = 2_000_000, 200_000
"""The page needs about 300 kB."""
_ENTRY_BYTES = 1000  # roughly what an entry takes besides its content: one file has many names, such as /assets/./name
_FOREVER = "public, max-age=31536000, immutable"
_ENCODINGS = ("br", "gzip")  # in the order in which Gradio prefers them
_HEADERS = frozenset((b"content-type", b"content-encoding", b"content-length", b"cache-control", b"etag", b"vary"))

_Key = tuple[str, str]


class _File(NamedTuple):
    headers: list[tuple[bytes, bytes]]
    body: bytes


class AssetCache:
    """ASGI app around Gradio's: caches the files requested last, and lets browsers cache them for good.

    Both are safe, since every file's name contains the hash of its content.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: OrderedDict[_Key, _File] = OrderedDict()
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond from memory, or pass the request on and remember the response."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(_BELOW):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        accepted = headers.get("Accept-Encoding", "")
        key = scope["path"], next((each for each in _ENCODINGS if each in accepted), "")
        in_whole = "Range" not in headers
        if in_whole and (kept := self._kept.get(key)):
            self._kept.move_to_end(key)
            await send({"type": "http.response.start", "status": 200, "headers": list(kept.headers)})
            await send({"type": "http.response.body", "body": kept.body})
            return
        recording = _Recording(send)
        await self._app(scope, receive, recording.send)
        if in_whole and recording.file:
            self._keep(key, recording.file)

    def _keep(self, key: _Key, file: _File) -> None:
        self._bytes += _size(key, file)
        if (same := self._kept.pop(key, None)) is not None:  # two visitors asked for it at once
            self._bytes -= _size(key, same)
        self._kept[key] = file
        while self._bytes > _ALL_BYTES:
            self._bytes -= _size(*self._kept.popitem(last=False))


class _Recording:
    """Passes a response on and keeps a copy, if it is a whole file that is not too large."""

    def __init__(self, send: Send) -> None:
        self.file: _File | None = None
        """The copy, once the response is complete."""
        self._send = send
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._is_file = False

    async def send(self, message: Message) -> None:
        """Take one message of the response."""
        if message["type"] == "http.response.start" and message["status"] == 200:  # noqa: PLR2004
            MutableHeaders(scope=message)["Cache-Control"] = _FOREVER
            self._headers = [pair for pair in message["headers"] if pair[0] in _HEADERS]
            self._is_file = True
        elif message["type"] == "http.response.body" and self._is_file:
            self._body += message.get("body", b"")
            self._is_file = len(self._body) <= _LARGEST_BYTES
            if self._is_file and not message.get("more_body", False):
                self.file = _File(self._headers, bytes(self._body))
        await self._send(message)


def _size(key: _Key, file: _File) -> int:
    return _ENTRY_BYTES + len(key[0]) + len(file.body)

"""Gradio's scripts are compressed once, and answered from memory then."""

import asyncio
import re
from collections import Counter

import httpx
import pytest
from starlette.datastructures import MutableHeaders
from starlette.types import Receive, Scope, Send

from web.gradio_guard.assets import AssetCache


@pytest.fixture
def script(client: httpx.Client) -> str:
    """One that the page asks for."""
    found = re.search(r"/assets/[\w-]+\.js", client.get("/").text)
    assert found
    return found[0]


@pytest.mark.parametrize("accepted", ["br, gzip", "gzip", "identity", "zstd, br;q=0.5"])
def test_every_visitor_gets_the_same_file_and_may_keep_it(client: httpx.Client, script: str, accepted: str) -> None:
    answers = [client.get(script, headers={"Accept-Encoding": accepted}) for _ in range(3)]
    plain = client.get(script, headers={"Accept-Encoding": "identity"})
    for answer in answers:
        assert answer.content == plain.content
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Security-Policy"], "it comes with the headers that every answer has"
    names = "Content-Type", "Content-Encoding", "Content-Length", "Vary", "ETag"
    assert len({tuple(answer.headers.get(name) for name in names) for answer in answers}) == 1
    assert answers[-1].headers.get("Content-Encoding") == next((e for e in ("br", "gzip") if e in accepted), None)


def test_what_is_not_there_is_not_kept(client: httpx.Client) -> None:
    for _ in range(2):
        answer = client.get("/assets/none-00000000.js")
        assert answer.status_code == 404
        assert "immutable" not in answer.headers.get("Cache-Control", "")


class Files:
    """An app with a file under every name; counts how often each was asked for."""

    def __init__(self, size: int, *, pieces: int = 1) -> None:
        self.asked: Counter[str] = Counter()
        self._size = size
        self._pieces = pieces

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.asked[scope["path"]] += 1
        body = scope["path"].encode().ljust(self._size, b".")
        headers = MutableHeaders({"Content-Length": str(len(body)), "Set-Cookie": "secret=1"})
        await send({"type": "http.response.start", "status": 200, "headers": headers.raw})
        step = -(-len(body) // self._pieces)
        for start in range(0, len(body), step):
            rest = start + step < len(body)
            await send({"type": "http.response.body", "body": body[start : start + step], "more_body": rest})


def ask(app: AssetCache, path: str, **headers: str) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as asking:
            return await asking.get(path, headers=headers)

    return asyncio.run(once())


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_file_is_read_once_however_it_comes(pieces: int) -> None:
    files = Files(1000, pieces=pieces)
    app = AssetCache(files)
    answers = [ask(app, "/assets/a.js") for _ in range(3)]
    assert files.asked == {"/assets/a.js": 1}
    assert len({answer.content for answer in answers}) == 1
    assert "Set-Cookie" not in answers[-1].headers, "what was meant for one visitor is not for the next"


def test_parts_are_the_apps_own_affair() -> None:
    files = Files(1000)
    app = AssetCache(files)
    for headers in ({"Range": "bytes=0-9"}, {}, {"Range": "bytes=0-9"}):
        ask(app, "/assets/a.js", **headers)
    assert files.asked == {"/assets/a.js": 3}


def test_other_paths_are_never_kept() -> None:
    files = Files(10)
    app = AssetCache(files)
    for _ in range(2):
        ask(app, "/config")
    assert files.asked == {"/config": 2}


def test_memory_is_bounded_and_the_files_of_the_page_stay() -> None:
    """Somebody asks for every file there is, while visitors go on asking for the page's."""
    files = Files(150_000)
    app = AssetCache(files)
    for number in range(40):
        ask(app, f"/assets/{number}.js")
        ask(app, "/assets/page.js")
    assert files.asked["/assets/page.js"] == 1
    ask(app, "/assets/0.js")
    assert files.asked["/assets/0.js"] == 2, "what nobody asked for again had to go"


def test_many_small_files_are_not_kept_either() -> None:
    files = Files(10)
    app = AssetCache(files)
    for number in range(2500):
        ask(app, f"/assets/{number}.js")
    ask(app, "/assets/0.js")
    assert files.asked["/assets/0.js"] == 2


def test_a_file_that_is_too_large_is_passed_on_whole() -> None:
    files = Files(300_000, pieces=4)
    app = AssetCache(files)
    assert [len(ask(app, "/assets/large.js").content) for _ in range(2)] == [300_000, 300_000]
    assert files.asked == {"/assets/large.js": 2}

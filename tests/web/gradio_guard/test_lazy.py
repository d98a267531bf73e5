"""The page that is built after the server listens."""

import asyncio
import gc
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.conftest import ROOT
from tests.web.conftest import Server, wait_for
from web.gradio_guard.lazy import LazyPage


def hello() -> FastAPI:
    app = FastAPI()
    app.get("/")(lambda: "hello")
    return app


def client_of(page: LazyPage) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(page), base_url="http://page")


def test_requests_that_come_early_wait_for_the_page() -> None:
    may_build = threading.Event()

    def build() -> FastAPI:
        may_build.wait(30)
        return hello()

    async def ask() -> tuple[bool, str]:
        page = LazyPage(build)
        async with page.running(), client_of(page) as client:
            asking = asyncio.create_task(client.get("/"))
            for _ in range(10):
                await asyncio.sleep(0)
            waits = not asking.done()
            may_build.set()
            return waits, (await asking).json()

    assert asyncio.run(ask()) == (True, "hello")


def test_the_pages_own_lifespan_begins_and_ends() -> None:
    seen = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        seen.append("begin")
        yield
        seen.append("end")

    async def live() -> None:
        page = LazyPage(lambda: FastAPI(lifespan=lifespan))
        async with page.running(), client_of(page) as client:
            await client.get("/")
            assert seen == ["begin"]

    asyncio.run(live())
    assert seen == ["begin", "end"]


def test_what_building_leaves_is_not_looked_through_again_for_garbage() -> None:
    async def live() -> None:
        page = LazyPage(hello)
        async with page.running(), client_of(page) as client:
            await client.get("/")

    asyncio.run(live())
    try:
        assert gc.isenabled()
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()


def test_a_page_that_nobody_uses_lets_the_process_sleep(server: Server) -> None:
    def wakes() -> int:
        return int(re.findall(r"voluntary_ctxt_switches:\s+(\d+)", status.read_text())[0])

    def sleeps() -> bool:
        before = wakes()
        time.sleep(0.2)
        return wakes() - before < 30  # Gradio by itself wakes up 200 times

    status = Path(f"/proc/{server.process.pid}/status")
    assert httpx.get(server.url, timeout=60).is_success
    wait_for(sleeps, "a moment of rest", deadline_s=20)


def test_a_page_that_cannot_be_built_ends_the_process() -> None:
    def build() -> FastAPI:
        raise ZeroDivisionError

    async def live() -> None:
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        async with LazyPage(build).running(), asyncio.timeout(30):
            await told.wait()

    with pytest.raises(ZeroDivisionError):
        asyncio.run(live())


def test_the_server_listens_without_gradio() -> None:
    code = "import sys, app, web.app, web.page.examples; web.page.examples.Examples(); print('gradio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

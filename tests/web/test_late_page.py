"""The page that is built after the server listens."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from tests.conftest import ROOT
from web.late_page import LatePage


def hello() -> FastAPI:
    app = FastAPI()
    app.get("/")(lambda: "hello")
    return app


def client_of(page: LatePage) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(page), base_url="http://page")


def test_requests_that_come_early_wait_for_the_page() -> None:
    may_build = threading.Event()

    def build() -> FastAPI:
        may_build.wait(30)
        return hello()

    async def ask() -> tuple[bool, str]:
        page = LatePage(build)
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
        page = LatePage(lambda: FastAPI(lifespan=lifespan))
        async with page.running(), client_of(page) as client:
            await client.get("/")
            assert seen == ["begin"]

    asyncio.run(live())
    assert seen == ["begin", "end"]


def test_a_page_that_cannot_be_built_ends_the_process() -> None:
    def build() -> FastAPI:
        raise ZeroDivisionError

    async def live() -> None:
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        async with LatePage(build).running(), asyncio.timeout(30):
            await told.wait()

    with pytest.raises(ZeroDivisionError):
        asyncio.run(live())


def test_the_server_listens_without_gradio() -> None:
    code = "import sys, app, web.build, web.examples; web.examples.Examples(); print('gradio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

"""The lazy page, built once the server listens: Gradio takes seconds to import, and the API need not wait for it."""

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from anyio.to_thread import run_sync
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from catdog.allocator import trim

_TURN_S = 0.0005


class LazyPage:
    """ASGI app that is built in a thread once the server runs. Earlier requests wait for it."""

    def __init__(self, build: Callable[[], FastAPI]) -> None:
        """Wait for `running`.

        Args:
            build: Builds the app; takes seconds.
        """
        self._build = build
        self._app: FastAPI | None = None
        self._ready = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, as soon as the app is built."""
        await self._ready.wait()
        if self._app is not None:  # else the process is about to end
            await self._app(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Build the app in the background, and let it live until the block ends. If it fails, so does the process."""
        end = asyncio.Event()
        living = asyncio.create_task(self._live_until(end))
        try:
            yield
        finally:
            end.set()
            await living

    async def _live_until(self, end: asyncio.Event) -> None:
        """The app's lifespan begins and ends in one task, as the libraries in it demand."""
        try:
            app = await run_sync(self._build_in_short_turns)
            async with app.router.lifespan_context(app):
                self._app = app
                self._ready.set()
                await end.wait()
        finally:
            self._ready.set()
            if not end.is_set():  # a page that cannot be built must not look like a slow one
                signal.raise_signal(signal.SIGTERM)

    def _build_in_short_turns(self) -> FastAPI:
        """Switch between threads ten times as often as Python's default, so that requests are answered meanwhile.

        Garbage is collected once, at the end, and what remains is frozen: with all that Gradio imports, each full
        collection would hold up every request for a tenth of a second.
        """
        usual_s = sys.getswitchinterval()
        sys.setswitchinterval(_TURN_S)
        gc.disable()
        try:
            return self._build()
        finally:
            sys.setswitchinterval(usual_s)
            gc.enable()
            gc.collect()
            gc.freeze()
            trim()  # what importing Gradio leaves behind

"""Serving the application: one process, since Gradio keeps its sessions in memory."""

import asyncio
import logging
import socket
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catdog.allocator import return_memory_at_once, trim
from catdog.errors import SettingsError
from catdog.settings import Settings
from web.errors import RETRY_AFTER_S
from web.middleware.connections import Connections, PunctualProtocol

log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 2000
"""An open page holds one, and two to six more for seconds."""
_MOST_OF_A_CLIENT = 500  # an office behind one address
_SHUTDOWN_S = 1
"""How long requests in progress may take once the process is to end; orchestrators kill it after 10 s."""
_IDLE_CONNECTION_S = 30
_STREAM = "text/event-stream"
_STOPPING = {"error": "busy", "detail": "The server is stopping. Try again in a minute.", "request_id": "0" * 32}
_OUR_PACKAGES = ("catdog", "feedback", "web")
_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


def bind(host: str, port: int) -> socket.socket:
    """Reserve an address; nobody can connect yet. Port 0 stands for any free port.

    Raises:
        SettingsError: it is in use, or not this machine's.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # do not wait for connections of an earlier run
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Set CATDOG_HOST and CATDOG_PORT to a free address."
        ) from None
    return listener


def serve(app: FastAPI, listener: socket.socket, *, behind_proxies: bool = False) -> None:
    """Serve at the bound address until SIGINT or SIGTERM; behind proxies, all connections come from one address."""
    _quieten_libraries()
    most = min(_MOST_CONNECTIONS, _raise_open_files() // 2)
    return_memory_at_once()
    trim()  # what loading the model leaves behind

    class OurProtocol(PunctualProtocol):
        connections_open = Connections(
            most=most, most_of_a_client=None if behind_proxies else min(_MOST_OF_A_CLIENT, most)
        )

    streams = Streams(app)
    config = uvicorn.Config(
        streams,
        http=OurProtocol,
        ws="none",  # the page uses none
        access_log=False,  # it would log addresses
        log_config=None,
        proxy_headers=False,  # the number of trusted proxies is a setting of ours
        server_header=False,
        timeout_keep_alive=_IDLE_CONNECTION_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    listener.listen(config.backlog)
    host, port = listener.getsockname()[:2]
    log.info("Ready on http://%s:%d", "localhost" if host in _ANYWHERE else host, port)
    StreamEndingServer(config, streams).run(sockets=[listener])


class Streams:
    """ASGI app around another: ends its event streams, and lets its requests end in order, when the process is to end.

    An open page holds a stream that ends only with the page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open: set[asyncio.Task[Any]] = set()
        self._is_stopping = False

    def end(self) -> None:
        """End all streams, now and from now on."""
        self._is_stopping = True
        for task in self._open:
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. If it is cancelled at the end of the process, end its response."""
        task = asyncio.current_task()
        assert task is not None
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if Headers(raw=message["headers"]).get("Content-Type", "").startswith(_STREAM):
                    self._open.add(task)
                    if self._is_stopping:
                        task.cancel()
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            if not self._is_stopping:
                raise
            task.uncancel()
            if started:
                await send({"type": "http.response.body", "body": b""})
            else:
                await JSONResponse(_STOPPING, 503, headers={"Retry-After": RETRY_AFTER_S})(scope, receive, send)
        finally:
            self._open.discard(task)


class StreamEndingServer(uvicorn.Server):
    """uvicorn's server, which would wait for event streams to end by themselves."""

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then do as uvicorn does."""
        self._streams.end()
        await super().shutdown(sockets)


def keep_unused_out(settings: Settings) -> None:
    """Keep out packages that Gradio and pandas import wherever they find them, where the app does not use them.

    Importing them fails in this process as if they were not installed; call this before the first import.

    Gradio would import matplotlib before the first event, in the event loop: 27 MB, and a second without any response.
    The others are 13 and 34 MB.
    """
    used = {"matplotlib": False, "mcp": settings.mcp, "pyarrow": bool(settings.feedback_repo)}
    for package, is_used in used.items():
        if not is_used:
            sys.modules[package] = None  # type: ignore[assignment]  # as Python's reference documents


def _quieten_libraries() -> None:
    """Let only this project's packages log below WARNING: others log addresses, files and what was sent."""
    root = logging.getLogger()
    for ours in _OUR_PACKAGES:
        logging.getLogger(ours).setLevel(root.level)
    root.setLevel(max(root.level, logging.WARNING))


def _raise_open_files() -> int:
    """Raise the limit on open files, for connections; returns it."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return sys.maxsize
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return sys.maxsize
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most

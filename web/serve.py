"""Serving the application: one process, since Gradio keeps its sessions in memory."""

import logging
import socket

import uvicorn
from fastapi import FastAPI

from catdog.errors import SettingsError

log = logging.getLogger(__name__)

_SHUTDOWN_S = 10
_IDLE_CONNECTION_S = 30
_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


def serve(app: FastAPI, *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; port 0 is any free one.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    for library in ("uvicorn", "httpx"):  # httpx names every address that it fetches
        logging.getLogger(library).setLevel(logging.WARNING)
    listener = _listen(host, port)
    shown = "localhost" if host in _ANYWHERE else host
    log.info("Ready on http://%s:%d", shown, listener.getsockname()[1])
    config = uvicorn.Config(
        app,
        access_log=False,  # it would show addresses
        log_config=None,
        proxy_headers=False,  # the forwarding hops to believe are a setting of ours
        server_header=False,
        timeout_keep_alive=_IDLE_CONNECTION_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Set CATDOG_HOST and CATDOG_PORT to a free address."
        ) from None

"""Serving the application: one process, since Gradio keeps its sessions in memory."""

import logging
import socket
import sys

import uvicorn
from fastapi import FastAPI

from catdog.allocator import return_memory_at_once, trim
from catdog.errors import SettingsError
from web.middleware.connection_count import Connections
from web.middleware.connections import PunctualProtocol

log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 2000
"""An open page holds one, and two to six more for seconds."""
_MOST_OF_A_CLIENT = 500  # an office behind one address
_SHUTDOWN_S = 10
_IDLE_CONNECTION_S = 30
_OUR_PACKAGES = ("catdog", "feedback", "web")
_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


def bind(host: str, port: int) -> socket.socket:
    """Reserve an address; nobody can connect yet. Port 0 is any free one.

    Raises:
        SettingsError: it is taken, or not this machine's.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # do not wait for what an earlier run left
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Set CATDOG_HOST and CATDOG_PORT to a free address."
        ) from None
    return listener


def serve(app: FastAPI, listener: socket.socket, *, behind_proxies: bool = False) -> None:
    """Serve at the bound address until SIGINT or SIGTERM; behind proxies, whose address says nothing of the clients."""
    _quieten_libraries()
    most = min(_MOST_CONNECTIONS, _raise_open_files() // 2)
    return_memory_at_once()
    trim()  # what loading the model has left

    class OurProtocol(PunctualProtocol):
        connections_open = Connections(
            most=most, most_of_a_client=None if behind_proxies else min(_MOST_OF_A_CLIENT, most)
        )

    config = uvicorn.Config(
        app,
        http=OurProtocol,
        ws="none",  # the page needs none
        access_log=False,  # it would show addresses
        log_config=None,
        proxy_headers=False,  # the forwarding hops to believe are a setting of ours
        server_header=False,
        timeout_keep_alive=_IDLE_CONNECTION_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    listener.listen(config.backlog)
    host, port = listener.getsockname()[:2]
    log.info("Ready on http://%s:%d", "localhost" if host in _ANYWHERE else host, port)
    uvicorn.Server(config).run(sockets=[listener])


def _quieten_libraries() -> None:
    """Let only this project's packages log what is no warning: others name addresses, files and what was sent."""
    root = logging.getLogger()
    for ours in _OUR_PACKAGES:
        logging.getLogger(ours).setLevel(root.level)
    root.setLevel(max(root.level, logging.WARNING))


def _raise_open_files() -> int:
    """Allow as many open files as this process may have, for connections; returns how many."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return sys.maxsize
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return sys.maxsize
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most

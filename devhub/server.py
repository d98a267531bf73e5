"""Serving a hub: in the foreground for people, in a thread for tests."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import uvicorn

from catdog.errors import SettingsError
from devhub.application import create_app
from devhub.faults import Fault, Faults, Match, Rule
from devhub.routes.access import Hub
from devhub.storage.store import Store
from devhub.tokens import Signer, Token, Tokens, load_tokens

LOOPBACK = "127.0.0.1"
INLINE_BYTES = 32_000_000
_LAST_PORT = 65535
MAX_COMMIT_BYTES = 1_000_000_000


class Running:
    """A hub that runs in a thread of this process, for tests and demos.

    ```
    with Running(folder) as hub:
        HfApi(endpoint=hub.url, token=hub.token).create_repo("me/x")
    ```

    `stop()` and `start()` again give the same address: that is how a hub that is down for a while is tested.
    """

    def __init__(self, root: Path, *, tokens: Sequence[Token] = (), inline_bytes: int = INLINE_BYTES) -> None:
        self._root = root
        self._extra = tokens
        self._inline_bytes = inline_bytes
        self._port = 0
        self._faults = Faults()
        self._stack = contextlib.ExitStack()
        self.token = ""

    @property
    def url(self) -> str:
        """The address, without a slash at the end."""
        return f"http://{LOOPBACK}:{self._port}"

    def start(self) -> Self:
        """Serve; returns when connections are accepted."""
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(listen(LOOPBACK, self._port))
            self._port = listener.getsockname()[1]
            hub, _ = stack.enter_context(open_hub(self._root, self._extra, inline_bytes=self._inline_bytes))
            self.token = load_tokens(self._root)[0][0].token
            server = make_server(hub, self._faults)
            thread = threading.Thread(target=server.run, args=([listener],), name="devhub", daemon=True)
            thread.start()
            stack.callback(_stop, server, thread)
            self._stack = stack.pop_all()
        return self

    def stop(self) -> None:
        """Stop serving; the folder keeps everything."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def fail(self, fault: Fault, *, method: str | None = None, path: str = "", nth: int = 1, times: int = 1) -> None:
        """Queue a fault; see `devhub.faults`."""
        self._faults.add(Rule(match=Match(method=method, path=path, nth=nth), fault=fault, times=times))

    @property
    def faults(self) -> Faults:
        """The faults that wait, and how often each has fired."""
        return self._faults


@contextlib.contextmanager
def open_hub(
    root: Path,
    extra: Sequence[Token] = (),
    *,
    inline_bytes: int = INLINE_BYTES,
    max_commit_bytes: int = MAX_COMMIT_BYTES,
) -> Iterator[tuple[Hub, bool]]:
    """Own a folder and read its tokens; also tells whether the token is new.

    Raises:
        SettingsError: the folder or its tokens cannot be used.
    """
    store = Store(root)
    store.open()
    try:
        tokens, new = load_tokens(root)
        hub = Hub(store, Tokens([*tokens, *extra]), Signer(), inline_bytes, max_commit_bytes)
        yield hub, new
    finally:
        store.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections from now on, so that nobody is refused while the server starts.

    Raises:
        SettingsError: the address cannot be used.
    """
    if not 0 <= port <= _LAST_PORT:
        raise SettingsError(f"--port {port} cannot be: ports end at {_LAST_PORT}. Give another --port.")
    try:
        host.encode("idna")  # as `bind` would, whose error leaves the socket open
        return socket.create_server((host, port), backlog=128, reuse_port=False)
    except OSError as error:
        raise SettingsError(f"{host}:{port} cannot be used: {error.strerror}. Give another --port or --host.") from None
    except UnicodeError:
        raise SettingsError(f"{host} is not an address. Give another --host.") from None


def make_server(hub: Hub, faults: Faults | None) -> uvicorn.Server:
    """The server, not yet running."""
    config = uvicorn.Config(
        create_app(hub, faults),
        log_level="warning",
        access_log=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def _stop(server: uvicorn.Server, thread: threading.Thread) -> None:
    server.should_exit = True
    thread.join()

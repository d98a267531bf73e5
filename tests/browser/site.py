"""A built page on a web server of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

ISOLATED = {"Cross_Origin_Opener_Policy": "same-origin", "Cross_Origin_Embedder_Policy": "require-corp"}
"""Headers with which browsers give WebAssembly threads."""


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, headers: dict[str, str], **options: Any) -> None:
        self._more = headers
        super().__init__(*args, **options)

    def end_headers(self) -> None:
        for name, value in self._more.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(folder: Path, **headers: str) -> Iterator[str]:
    """Serve a folder on loopback; yields its address."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    handler = partial(_Handler, headers=named, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()

"""What the web tests share: the real app as a process of its own, with a toy model of three labels."""

import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from feedback.journal.journal import Journal
from feedback.row import FeedbackRow
from tests.conftest import ROOT
from tests.toy import encoded, picture, toy_model

DEADLINE_S = 180.0


def wait_for(found: Callable[[], object], what: str, *, deadline_s: float = DEADLINE_S) -> None:
    """Poll until something is there."""
    end = time.monotonic() + deadline_s
    while not found():
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline_s:.0f} s for {what}")
        time.sleep(0.02)


@dataclass(frozen=True)
class Server:
    """A running app."""

    url: str
    data_dir: Path
    log: Path
    process: subprocess.Popen[bytes]

    def rows(self) -> list[FeedbackRow]:
        with Journal.open(self.data_dir) as journal:
            return list(journal.rows())


def environment(**settings: object) -> dict[str, str]:
    """This environment with these settings and no other."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CATDOG_", "HF_", "ORT_"))}
    prefixes = {name: "" if name.startswith("hf_") else "CATDOG_" for name in settings}
    return kept | {f"{prefixes[name]}{name.upper()}": str(value) for name, value in settings.items()}


@contextmanager
def running(
    folder: Path,
    model: Path,
    *,
    code: Path = ROOT,
    by: Sequence[str] = (),
    command: Sequence[str] = (sys.executable, "app.py"),
    **settings: object,
) -> Iterator[Server]:
    """Run the app on a free port until the block ends; from another code folder, within or by another command."""
    log, data_dir = folder / "log", folder / "data"
    env = environment(**{"host": "127.0.0.1", "port": 0, "model": model, "data_dir": data_dir, **settings})
    with log.open("wb") as out:
        process = subprocess.Popen([*by, *command], cwd=code, env=env, stdout=out, stderr=out)
    try:
        wait_for(lambda: b"Ready on" in log.read_bytes() or process.poll() is not None, "the server")
        match = re.search(r"Ready on (http://[\w.:]+)", log.read_text())
        assert match, log.read_text()
        yield Server(match[1], data_dir, log, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S)


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three labels that is unsure below 0.6."""
    return toy_model(tmp_path_factory.mktemp("models") / "toy", unsure_below=0.6)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path) -> Iterator[Server]:
    """The app with generous limits, which may fetch from loopback."""
    folder = tmp_path_factory.mktemp("server")
    limits: dict[str, Any] = {
        "rate_limit": "100000/minute",
        "feedback_limit": "100000/minute",
        "feedback_per_day": 100_000,
    }
    with running(folder, toy_folder, test_allow_private_urls=True, max_bytes=2_000_000, **limits) as running_server:
        assert httpx.get(running_server.url, timeout=DEADLINE_S).is_success  # built, and not while a test measures
        yield running_server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as http:
        yield http


@pytest.fixture(scope="session")
def web_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A web server on loopback with a picture, a page and a file that is too large."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "red.jpg").write_bytes(encoded(picture("red")))
    (folder / "page.html").write_text(
        "<!doctype html><title>No picture</title><meta property='og:image' content='named-by-the-page.jpg'>"
    )
    (folder / "notes.bin").write_bytes(b"notes")
    (folder / "large.jpg").write_bytes(bytes(2_000_001))

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{site.server_port}"
        site.shutdown()
        thread.join()


def huge_png() -> bytes:
    """A PNG whose header declares 20,000 x 20,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 60_001))

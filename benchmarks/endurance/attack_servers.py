"""Hostile servers on loopback, for `?url=`, and hostile requests: each a way to keep the app busy with little."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from PIL import Image

from benchmarks.endurance.attack_files import encoded

_LONG_S = 20.0
_ENOUGH = 200_000
_PAUSE_S = 0.01


def _endless(part: bytes, first: bytes = b"", *, pause_s: float = 0.0) -> Iterator[bytes]:
    yield first
    end = time.monotonic() + _LONG_S
    for _ in range(_ENOUGH):
        if time.monotonic() > end:
            return
        yield part
        if pause_s:
            time.sleep(pause_s)


def _redirect(location: str) -> Iterator[bytes]:
    yield f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def _picture_with(headers: str) -> Iterator[bytes]:
    body = encoded(Image.new("RGB", (64, 64), "red"), "PNG")
    yield f"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n{headers}\r\n".encode() + body


_OK = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
SLOW: Mapping[str, Callable[[], Iterator[bytes]]] = {
    "103 without end": lambda: _endless(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "100 without end": lambda: _endless(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "chunks of one byte": lambda: _endless(b"1\r\na\r\n", _CHUNKED),
    "headers without end": lambda: _endless(b"X-A: b\r\n", _OK),
    "one header without end": lambda: _endless(b"a" * 100, _OK + b"X-A: "),
    "a byte at a time": lambda: _endless(b"a", _OK + b"Content-Length: 1000000\r\n\r\n", pause_s=_PAUSE_S),
    "nothing": lambda: _endless(b"", pause_s=1.0),
    "body without end": lambda: _endless(b"a" * 65_536, _OK + b"\r\n"),
    "chunk extensions": lambda: _endless(
        b"1;" + b"e" * 2000 + b"\r\na\r\n", _OK + b"Transfer-Encoding: chunked\r\n\r\n"
    ),
}
"""Servers that never come to an end."""

REDIRECTS: Mapping[str, Callable[[], Iterator[bytes]]] = {
    "to data:": lambda: _redirect("data:image/png;base64,AAAA"),
    "to mailto:": lambda: _redirect("mailto:somebody@example.com"),
    "to http:x": lambda: _redirect("http:x"),
    "to nothing": lambda: _redirect(""),
    "to a bad port": lambda: _redirect("http://127.0.0.1:99999999/"),
    "to a bad address": lambda: _redirect("http://[::1"),
    "to a bad host": lambda: _redirect("http://" + "a" * 300 + ".example/"),
    "to itself": lambda: _redirect("/"),
    "no length that is a number": lambda: _picture_with("Content-Length: many\r\n"),
    "compressed rubbish": lambda: _picture_with("Content-Encoding: gzip\r\n"),
}
"""Answers that an HTTP client may fail to understand."""

_BOUNDARY = b"b" * 60


def forms() -> dict[str, bytes]:
    """Multipart bodies that cost a parser more than their bytes."""
    head = b"--" + _BOUNDARY + b'\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    end = b"\r\n--" + _BOUNDARY + b"--\r\n"
    almost = b"\r\n--" + _BOUNDARY[:-1] + b"x"
    field = b"--" + _BOUNDARY + b'\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    return {
        "almost boundaries": head + almost * (15_000_000 // len(almost)) + end,
        "line feeds": head + b"\r\n" * 7_000_000 + end,
        "dashes": head + b"\r\n--" * 3_500_000 + end,
        "many fields": field * 100_000 + end,
        "one long header": b"--" + _BOUNDARY + b"\r\nX-A: " + b"a" * 10_000_000 + b"\r\n\r\n" + end,
        "many headers": b"--" + _BOUNDARY + b"\r\n" + b"X-A: b\r\n" * 1_000_000 + b"\r\n" + end,
        "no end": head + b"a" * 1_000_000,
    }


FORM_TYPE = f"multipart/form-data; boundary={_BOUNDARY.decode()}"


@contextmanager
def serving(answer: Callable[[], Iterator[bytes]]) -> Iterator[str]:
    """A server that sends the same answer to everybody; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        over = threading.Event()
        thread = threading.Thread(target=_serve, args=(listener, answer, over))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            over.set()
            thread.join()


def _serve(listener: socket.socket, answer: Callable[[], Iterator[bytes]], over: threading.Event) -> None:
    clients = []
    while not over.is_set():
        try:
            client, _ = listener.accept()
        except TimeoutError:
            continue
        thread = threading.Thread(target=_answer, args=(client, answer, over))
        thread.start()
        clients.append(thread)
    for thread in clients:
        thread.join()


def _answer(client: socket.socket, answer: Callable[[], Iterator[bytes]], over: threading.Event) -> None:
    with client:
        client.settimeout(1.0)
        try:
            client.recv(65_536)
            for part in answer():
                if over.is_set():
                    return
                client.sendall(part)
        except OSError:
            return

"""Load from a process of its own: `python -m benchmarks.bench_load PORT CLIENTS SECONDS PICTURE...`.

Each client keeps one connection and sends the pictures in turn, the next one as soon as an answer is there. Prints one
line of JSON: the latencies, every picture's answers, and the CPU time that sending took.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

_BOUNDARY = "bench"
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What came of sending for a while."""

    wall_s: float
    cpu_s: float
    """Of this process alone."""
    latencies_ms: list[float] = field(default_factory=list)
    answers: list[tuple[int, str]] = field(default_factory=list)
    """Number of a picture, and what was said about it: distinct bodies only."""
    errors: int = 0
    """Answers that are not 200, and connections that were lost."""


def request_of(picture: bytes, *, path: str = "/predict", field_: str = "file") -> bytes:
    """A whole request that sends one picture as a form."""
    start = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field_}"; filename="a.jpg"\r\n'
    body = f"{start}Content-Type: image/jpeg\r\n\r\n".encode() + picture + f"\r\n--{_BOUNDARY}--\r\n".encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={_BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client(asyncio.Protocol):
    """One connection; reads as little of an answer as it must."""

    def __init__(self, requests: Sequence[bytes], first: int, until: float) -> None:
        self.latencies_ms: list[float] = []
        self.answers: list[tuple[int, bytes]] = []
        self.errors = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._number = first % len(requests)
        self._until = until
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head):
            self._complete(head, body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.done.done():
            self.errors += 1
            self.done.set_result(None)

    def _complete(self, head: bytes, body: bytes) -> None:
        now = time.perf_counter()
        self.latencies_ms.append(1000 * (now - self._sent))
        self.errors += not head.startswith(b"HTTP/1.1 200")
        self.answers.append((self._number, body))
        self._received = b""
        self._number = (self._number + 1) % len(self._requests)
        if now < self._until:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._requests[self._number])


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def load(port: int, clients: int, seconds: float, pictures: Sequence[bytes]) -> Load:
    """Send for so long, from so many clients at a time."""
    requests = [request_of(picture) for picture in pictures]
    loop, start = asyncio.get_running_loop(), time.perf_counter()
    until, cpu = start + seconds, _cpu_s()
    opened = [
        (await loop.create_connection(lambda n=n: Client(requests, n, until), "127.0.0.1", port))[1]  # type: ignore[misc]
        for n in range(clients)
    ]
    await asyncio.wait([client.done for client in opened], timeout=seconds + _PATIENCE_S)
    said = {(number, _said(body)) for client in opened for number, body in client.answers}
    return Load(
        wall_s=time.perf_counter() - start,
        cpu_s=_cpu_s() - cpu,
        latencies_ms=[each for client in opened for each in client.latencies_ms],
        answers=sorted(said),
        errors=sum(client.errors + (not client.done.done()) for client in opened),
    )


def _said(body: bytes) -> str:
    """What repeats from answer to answer: label and probabilities."""
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    return json.dumps({name: told.get(name) for name in ("label", "probabilities")})


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    port, clients, seconds, *paths = sys.argv[1:]
    pictures = [Path(path).read_bytes() for path in paths]
    print(json.dumps(asdict(asyncio.run(load(int(port), int(clients), float(seconds), pictures)))))

"""Load from its own process: `python -m benchmarks.harness.load --port ... --clients ... --seconds ... PICTURE...`.

Each client keeps one connection and sends the pictures in turn, the next one as soon as an answer is there. Prints one
line of JSON: the latencies, every picture's answers, and the CPU time that sending took.
"""

import argparse
import asyncio
import json
import resource
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
    """Answers other than 200 and 201, and connections that were lost."""
    server_cpu_s: float = 0.0
    """Of the server's processes meanwhile."""


def request_of(picture: bytes, *, path: str = "/predict", label: str = "") -> bytes:
    """A whole request that sends one picture as a form, with a label if one is given."""
    field_ = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="label"\r\n\r\n{label}\r\n' if label else ""
    start = f'{field_}--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
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
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Part of an answer."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head):
            self._complete(head, body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The server has closed it, or it was never there."""
        if not self.done.done():
            self.errors += 1
            self.done.set_result(None)

    def _complete(self, head: bytes, body: bytes) -> None:
        now = time.perf_counter()
        self.latencies_ms.append(1000 * (now - self._sent))
        self.errors += not head.startswith(b"HTTP/1.1 2")
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


async def load(  # noqa: PLR0913 - all but the first four have defaults
    port: int, clients: int, seconds: float, pictures: Sequence[bytes], *, path: str = "/predict", label: str = ""
) -> Load:
    """Send for so long, from so many clients at a time."""
    requests = [request_of(picture, path=path, label=label) for picture in pictures]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--path", default="/predict")
    parser.add_argument("--label", default="", help="sent along, as POST /feedback wants it")
    parser.add_argument("pictures", nargs="+", type=Path)
    told = parser.parse_args()
    pictures = [path.read_bytes() for path in told.pictures]
    sending = load(told.port, told.clients, told.seconds, pictures, path=told.path, label=told.label)
    print(json.dumps(asdict(asyncio.run(sending))))


if __name__ == "__main__":
    main()

"""Those who use the app while something else happens to it: visitors with photos, and a monitor that asks `/health`.

They run in a process of their own, so that what an attacker's program takes is not counted as the app's.
"""

import asyncio
import io
import multiprocessing
import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Self

from PIL import Image

_HEALTH_EVERY_S = 0.05
_PATIENCE_S = 60.0
_BOUNDARY = "bystanders"
NO_ANSWER = 0
"""In place of a status: the connection was lost, or nothing came in time."""


@dataclass
class Noticed:
    """What the bystanders noticed. Seconds."""

    health_s: list[float] = field(default_factory=list)
    visits_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    """Of the visitors' answers."""
    unhealthy: Counter[int] = field(default_factory=Counter)
    """Of `/health`, other than 200."""

    @property
    def refused(self) -> int:
        """Visits that brought no prediction."""
        return self.statuses.total() - self.statuses[200]

    @property
    def slowest_health_s(self) -> float:
        """The slowest answer of `/health`."""
        return max(self.health_s, default=0.0)

    @property
    def visitor_p95_s(self) -> float:
        """The 95th percentile of the visits; with few of them, the slowest."""
        if len(self.visits_s) < 2:  # noqa: PLR2004 - fewer have no percentile
            return max(self.visits_s, default=0.0)
        return statistics.quantiles(self.visits_s, n=20, method="inclusive")[-1]


class HttpConnection:
    """One connection that sends complete requests and reads as little of each answer as it must."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> int:
        """The status of the answer.

        Raises:
            OSError, EOFError: the connection was lost.
        """
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            self._writer.write(request)
            await self._writer.drain()
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = next((line[15:] for line in head.split(b"\r\n") if line.startswith(b"content-length:")), b"0")
            await self._reader.readexactly(int(length))
        except BaseException:
            self.close()
            raise
        if b"\r\nconnection: close" in head:
            self.close()
        return int(head[9:12])

    def close(self) -> None:
        """Leave at once, whatever is on its way."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


def picture_request(data: bytes, *, client: str, path: str = "/predict", label: str = "") -> bytes:
    """A request with a picture, as it goes over the wire.

    Args:
        data: The file.
        client: The address that sends it, as a proxy before the app would say.
        path: Where to.
        label: Sent along, if given, as `POST /feedback` wants it.
    """
    mark = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name="
    field_ = f'{mark}"label"\r\n\r\n{label}\r\n' if label else ""
    start = f'{field_}{mark}"file"; filename="a"\r\n\r\n'
    body = start.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    kind = f"multipart/form-data; boundary={_BOUNDARY}"
    return request_head("POST", path, client=client, kind=kind, length=len(body)) + body


def request_head(method: str, path: str, *, client: str, kind: str = "", length: int = 0) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"X-Forwarded-For: {client}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *([f"Content-Type: {kind}"] if kind else []), "", ""]).encode()


class Bystanders:
    """Visitors and a monitor, while a block runs; afterwards `noticed` says what came of it."""

    def __init__(self, port: int, *, visitors: int, every_s: float = 1.0) -> None:
        """Start nobody yet.

        Args:
            port: The app's.
            visitors: How many, each with an address of its own.
            every_s: How often each of them sends a photo.
        """
        processes = multiprocessing.get_context("spawn")
        self._ours, theirs = processes.Pipe()
        self._process = processes.Process(target=_watch, args=(theirs, port, visitors, every_s))
        self.noticed = Noticed()

    def __enter__(self) -> Self:
        self._process.start()
        self._ours.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.send("over")
        self.noticed = self._ours.recv()
        self._process.join()


def _watch(pipe: Connection, port: int, visitors: int, every_s: float) -> None:
    pipe.send(asyncio.run(_run(pipe, port, visitors, every_s)))


async def _run(pipe: Connection, port: int, visitors: int, every_s: float) -> Noticed:
    noticed, over, photo = Noticed(), asyncio.Event(), _photo()
    requests = [picture_request(photo, client=f"198.51.100.{number}") for number in range(1, visitors + 1)]
    visits = [_visit(HttpConnection(port), request, every_s, over, noticed) for request in requests]
    running = [asyncio.create_task(each) for each in (_monitor(HttpConnection(port), over, noticed), *visits)]
    pipe.send("ready")
    asyncio.get_running_loop().add_reader(pipe.fileno(), over.set)
    await asyncio.gather(*running)
    return noticed


async def _monitor(connection: HttpConnection, over: asyncio.Event, noticed: Noticed) -> None:
    request = request_head("GET", "/health", client="192.0.2.1")
    while not await _is_set_within(over, _HEALTH_EVERY_S):
        status, seconds = await _timed(connection, request)
        noticed.health_s.append(seconds)
        if status != 200:  # noqa: PLR2004
            noticed.unhealthy[status] += 1
    connection.close()


async def _visit(
    connection: HttpConnection, request: bytes, every_s: float, over: asyncio.Event, noticed: Noticed
) -> None:
    await asyncio.sleep(random.uniform(0, every_s))
    while True:
        status, seconds = await _timed(connection, request)
        noticed.visits_s.append(seconds)
        noticed.statuses[status] += 1
        if await _is_set_within(over, every_s):
            break
    connection.close()


async def _timed(connection: HttpConnection, request: bytes) -> tuple[int, float]:
    started = time.monotonic()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            status = await connection.ask(request)
    except (OSError, EOFError, TimeoutError):
        status = NO_ANSWER
    return status, time.monotonic() - started


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _photo() -> bytes:
    """A photo of 1.2 million pixels, of about 150 kB."""
    out = io.BytesIO()
    Image.effect_noise((320, 240), 60).convert("RGB").resize((1280, 960)).save(out, "JPEG", quality=85)
    return out.getvalue()

"""Mixed requests against the running app for a long time: `python -m benchmarks.endurance.soak`.

Good, bad, slow and cancelled requests go to `python app.py`, started as a user starts it, to the API and as the page
sends them. After a warm-up resident memory may grow by 5 %; open files, sockets and threads may not grow; no answer may
be a 500, no error be in the log, and nothing may be left in the folder of temporary files.
"""

import argparse
import asyncio
import collections
import functools
import io
import json
import random
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from PIL import Image

from benchmarks.harness.app_process import NO_LIMITS, State, cpu_s, running_app

BOUNDARY = "soak"
MOST_GROWTH = 1.05
SLACK_FILES = 5  # the journal and the model's watcher open and close theirs meanwhile
SLACK_THREADS = 16  # as many as the disk has; pools grow to their bounds when many happen to ask at the same moment
QUIET_S = 30.0
WARM_UP = 2500
"""Requests that fill the 48 MB of recent predictions twice: from then on, what grows is a leak."""

_UNREAD = ("/", "/health", "/metrics", "/docs", "/config", "/nothing")


class Client:
    """Sends one request after another, each over a connection of its own."""

    def __init__(self, port: int, rng: random.Random, outcomes: collections.Counter[str]) -> None:
        self._port = port
        self._rng = rng
        self._outcomes = outcomes
        self._pictures = pictures()
        self._mix: dict[Callable[[], Awaitable[object]], int] = {
            self._good: 60, self._bad: 15, self._correct: 6, self._by_page: 2, self._read: 6,
            self._refused_url: 2, self._slow: 2, self._cancelled: 7,
        }  # fmt: skip

    async def run(self, tickets: "collections.deque[int]") -> None:
        """Send until there are no tickets left."""
        kinds, weights = list(self._mix), list(self._mix.values())
        while tickets:
            tickets.pop()
            kind = self._rng.choices(kinds, weights)[0]
            try:
                await kind()
            except (ConnectionError, asyncio.IncompleteReadError):
                self._outcomes["connection lost"] += 1

    async def _good(self) -> Any:
        return await self.send("POST", "/predict", *form(self._rng.choice(self._pictures)))

    async def _bad(self) -> None:
        data = bytearray(self._rng.choice(self._pictures))
        start = self._rng.randrange(len(data))
        wrecks = (b"", b"text", bytes(data[:start]), bytes(data[:start] + b"\xff" * 20 + data[start + 20 :]), bomb())
        await self.send("POST", "/predict", *form(self._rng.choice(wrecks)))

    async def _correct(self) -> None:
        answer = await self._good()
        told = {"request_id": answer.get("request_id"), "label": answer.get("label")}
        saved = await self.send("POST", "/feedback", json.dumps(told).encode(), "application/json")
        if "receipt" in saved:
            receipt = json.dumps({"receipt": saved["receipt"]}).encode()
            await self.send("DELETE", "/feedback", receipt, "application/json")

    async def _by_page(self) -> None:
        """As the page and its programs do: upload, ask by an event, fetch the answer; each in a session of its own."""
        body, kind = form(self._rng.choice(self._pictures), field="files")
        (path,) = await self.send("POST", "/gradio_api/upload", body, kind)
        event = json.dumps({"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}).encode()
        joined = await self.send("POST", "/gradio_api/call/classify", event, "application/json")
        await self.send("GET", f"/gradio_api/call/classify/{joined['event_id']}")

    async def _read(self) -> None:
        await self.send("GET", self._rng.choice(_UNREAD))

    async def _refused_url(self) -> None:
        await self.send("POST", "/predict?url=http://127.0.0.1/")

    async def _slow(self) -> None:
        await self.send("POST", "/predict", *form(self._rng.choice(self._pictures)), pauses=5)

    async def _cancelled(self) -> None:
        """Leave in the middle of the request, or without waiting for the answer."""
        body, kind = form(self._rng.choice(self._pictures))
        request = head("POST", "/predict", body, kind) + body
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        del reader
        writer.write(request[: self._rng.choice((10, len(request) // 2, len(request)))])
        await asyncio.sleep(self._rng.random() / 50)
        writer.transport.abort()
        self._outcomes["cancelled"] += 1

    async def send(
        self, method: str, path: str, body: bytes = b"", kind: str = "text/plain", *, pauses: int = 0
    ) -> Any:
        """Send one request; returns what the answer says if it is JSON, else nothing."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            request = head(method, path, body, kind) + body
            step = len(request) // (pauses + 1) + 1
            for start in range(0, len(request), step):
                if start:
                    await asyncio.sleep(0.1)
                writer.write(request[start : start + step])
                await writer.drain()
            answer = await reader.read()
        finally:
            writer.close()
        status, _, rest = answer.partition(b"\r\n")
        self._outcomes[status[9:12].decode() or "connection lost"] += 1
        head_, _, content = rest.partition(b"\r\n\r\n")
        is_read = content and b"application/json" in head_ and path not in _UNREAD
        return json.loads(content) if is_read else {}


def head(method: str, path: str, body: bytes, kind: str) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def form(data: bytes, field: str = "file") -> tuple[bytes, str]:
    """A form with one file, and its type."""
    start = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="a.jpg"\r\n\r\n'
    return start.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


@functools.cache
def pictures() -> tuple[bytes, ...]:
    """Photos of several formats and sizes, one of them large."""
    noise = Image.effect_noise((160, 120), 60).convert("RGB")
    return tuple(
        encoded(noise.resize(size), format_)
        for format_, size in (
            ("JPEG", (500, 375)), ("JPEG", (200, 200)), ("JPEG", (1600, 1200)),
            ("PNG", (400, 300)), ("WEBP", (500, 375)), ("GIF", (200, 200)),
        )
    )  # fmt: skip


def bomb() -> bytes:
    """A PNG that declares 400 million pixels."""
    small = encoded(Image.new("RGB", (8, 8)), "PNG")
    return small[:16] + (20_000).to_bytes(4, "big") * 2 + small[24:]


def encoded(image: Image.Image, format_: str) -> bytes:
    out = io.BytesIO()
    image.save(out, format_)
    return out.getvalue()


async def flood(port: int, requests: int, clients: int, seed: int) -> collections.Counter[str]:
    """Send this many requests, so many at a time."""
    outcomes: collections.Counter[str] = collections.Counter()
    tickets = collections.deque(range(requests))
    running = [Client(port, random.Random(f"{seed} {n}"), outcomes).run(tickets) for n in range(clients)]
    await asyncio.gather(*running)
    return outcomes


def settled(pid: int) -> State:
    """The state once what is in progress has ended: threads and connections that nobody uses go by themselves."""
    end, state = time.monotonic() + QUIET_S, State.of(pid)
    while time.monotonic() < end:
        time.sleep(1)
        later = State.of(pid)
        if later.files >= state.files and later.threads >= state.threads:
            return later
        state = later
    return state


@dataclass(frozen=True)
class Spent:
    """Time that has gone by, and of processors. Seconds."""

    passed: float
    server: float
    driver: float

    @classmethod
    def by(cls, pid: int) -> "Spent":
        """Until now."""
        return cls(time.monotonic(), cpu_s(pid), time.process_time())

    def since(self, start: "Spent", requests: int) -> str:
        """What so many requests took."""
        server, driver = (1000 * s / requests for s in (self.server - start.server, self.driver - start.driver))
        rate = requests / (self.passed - start.passed)
        return f"{rate:.0f} requests/s, each {server:.1f} ms of processors in the server, {driver:.1f} ms in the driver"


def soak(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Run it all; returns what is wrong."""
    settings = dict(NO_LIMITS) | ({"CATDOG_MODEL": arguments.model} if arguments.model else {})
    with running_app(folder, settings) as app:
        tenth = max(1, arguments.requests // 10)
        uvloop.run(flood(app.port, max(tenth, WARM_UP), arguments.clients, 0))
        before = settled(app.pid)
        started, outcomes = Spent.by(app.pid), collections.Counter[str]()
        for part in range(1, 10):
            outcomes += uvloop.run(flood(app.port, tenth, arguments.clients, part))
            spent = Spent.by(app.pid).since(started, sum(outcomes.values()))
            print(f"{part + 1}/10: {State.of(app.pid)}, {spent}", flush=True)
        after = settled(app.pid)
    print(f"before: {before}\nafter:  {after}\nanswers: {dict(outcomes)}")
    return problems(before, after, outcomes, app.log.read_text(), [path.name for path in app.temporary.iterdir()])


def problems(
    before: State, after: State, outcomes: collections.Counter[str], log: str, left: Sequence[str]
) -> list[str]:
    """What a process should not show after all that."""
    found = []
    if after.resident_mb > before.resident_mb * MOST_GROWTH:
        found.append(f"memory grew from {before.resident_mb:.0f} to {after.resident_mb:.0f} MB")
    if after.files > before.files + SLACK_FILES:
        found.append(f"open files and sockets grew from {before.files} to {after.files}")
    if after.threads > before.threads + SLACK_THREADS:
        found.append(f"threads grew from {before.threads} to {after.threads}")
    if outcomes["500"] or "Traceback" in log or "internal_error" in log:
        found.append(f"there were unexpected errors: {outcomes['500']} answers with 500; see the log")
    if outcomes["connection lost"]:
        found.append(f"{outcomes['connection lost']} connections were lost without an answer")
    if left:
        found.append(f"in the folder of temporary files there is still {', '.join(left)}")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="a tenth of them to warm up, and 2,500 at least")
    parser.add_argument("--clients", type=int, default=16, help="how many at a time")
    parser.add_argument("--model", default="", help="model folder; the embedded one if not given")
    parser.add_argument("--keep", default="", help="copy the app's log there")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        found = soak(arguments, Path(name))
        if arguments.keep:
            shutil.copy(Path(name) / "log", arguments.keep)
    print("\n".join(found) or "nothing grew, nothing failed, nothing was left")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())

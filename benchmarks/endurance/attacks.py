"""The attack set against the running app, kind by kind: what does one attacker cost everybody else?

Beside each attack a visitor sends a photo a second, and `/health` is asked from another process. Printed for each kind:
the slowest request, the memory above idle of the app and its workers, the slowest `/health`, and the visitor's p95.
"""

import ssl
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from benchmarks.endurance.attack_files import FILES, Files, encoded, grids
from benchmarks.endurance.attack_servers import FORM_TYPE, REDIRECTS, SLOW, forms, serving
from benchmarks.harness.app_process import App, Health, status_of

ATTACK_SETTINGS = {"CATDOG_TRUSTED_PROXIES": "1", "CATDOG_TEST_ALLOW_PRIVATE_URLS": "true"}
_ATTACKER = {"X-Forwarded-For": "203.0.113.1"}
_TLS = ssl.create_default_context()  # once: each client would make one
_IN_FLIGHT, _VISITORS, _CROWD_S = 64, 10, 15.0
_ANSWERED_WITHIN_S = 120.0
_VISITS_EVERY_S = 1.0
_SAMPLED_EVERY_S = 0.02


Request = tuple[str, Callable[[], int]]
"""What is sent, and a function that sends it and returns the status."""


@dataclass(frozen=True)
class Goals:
    """What each kind may cost at most; for a machine with two free cores."""

    seconds: float = 2.5
    megabytes: float = 300.0
    health_s: float = 0.25
    visitor_p95_s: float = 1.0


@dataclass
class Cost:
    """What one kind cost."""

    kind: str
    seconds: float = 0.0
    slowest: str = ""
    megabytes: float = 0.0
    health_s: float = 0.0
    visits_s: list[float] = field(default_factory=list)
    refused_visits: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def visitor_p95_s(self) -> float:
        """The visitor's 95th percentile, in seconds."""
        if len(self.visits_s) < 2:  # noqa: PLR2004 - fewer have no percentile
            return max(self.visits_s, default=0.0)
        return statistics.quantiles(self.visits_s, n=20, method="inclusive")[-1]

    def line(self) -> str:
        """The cost in a line."""
        return (
            f"{self.kind}: {self.seconds:.1f} s ({self.slowest}), {self.megabytes:.0f} MB, "
            f"/health {self.health_s:.2f} s, "
            f"visitor p95 {self.visitor_p95_s:.2f} s, {self.refused_visits} of {len(self.visits_s)} refused, "
            f"statuses {dict(sorted(self.statuses.items()))}"
        )

    def missed(self, goals: Goals) -> Iterator[str]:
        """The goals that were missed."""
        for what, value, most in (
            ("seconds", self.seconds, goals.seconds),
            ("megabytes", self.megabytes, goals.megabytes),
            ("seconds for /health", self.health_s, goals.health_s),
            ("seconds for a visitor (p95)", self.visitor_p95_s, goals.visitor_p95_s),
            ("visits refused", self.refused_visits, 0),
        ):
            if value > most:
                yield f"{self.kind}: {value:.2f} {what}, at most {most:g}"
        yield from (f"{self.kind}: {fault}" for fault in self.faults)


def tree_mb(pid: int) -> float:
    """Resident memory of a process and its descendants."""
    total, waiting = 0.0, [pid]
    while waiting:
        each = waiting.pop()
        try:
            total += status_of(each, "VmRSS") / 1024
            for children in Path(f"/proc/{each}/task").glob("*/children"):
                waiting += map(int, children.read_text(encoding="ascii").split())
        except (OSError, ValueError):  # it has just ended
            continue
    return total


def run_attacks(app: App, *, only: Sequence[str] = ()) -> Iterator[Cost]:
    """Every kind, or those named, one after another."""
    for kind, requests in _KINDS.items():
        if not only or kind in only:
            yield attack(app, kind, requests(app))


def attack(app: App, kind: str, requests: Iterable[Request]) -> Cost:
    """Send one kind's requests, each alone, and measure what everybody else notices."""
    cost = Cost(kind)
    idle_mb = tree_mb(app.pid)
    with Health(app.port) as health, _watching(app, cost, idle_mb, visitors=1):
        for name, send in requests:
            started = time.monotonic()
            try:
                status = send()
            except httpx.HTTPError as error:
                cost.faults.append(f"{name}: {type(error).__name__}")
                continue
            took = time.monotonic() - started
            cost.statuses[status] += 1
            if took > cost.seconds:
                cost.seconds, cost.slowest = took, name
            if status == HTTPStatus.INTERNAL_SERVER_ERROR:
                cost.faults.append(f"{name}: 500")
    cost.health_s = health.slowest_s
    return cost


def run_crowds(app: App, large_heic: bytes) -> Iterator[Cost]:
    """One attacker with 64 requests in flight, and ten visitors beside it, for each way of sending them."""
    files = {
        "HEIC of 48 million pixels": large_heic,
        "PNG of 16 million flat pixels": encoded(Image.new("RGB", (4000, 4000)), "PNG"),
        "HEIC tiles that repeat": grids()["HEIC 2 x 2 of 4096"],
        "GIF": encoded(Image.new("P", (2000, 2000)), "GIF"),
    }
    send = partial(_post, app, timeout_s=_CROWD_S)
    for name, data in files.items():
        yield crowd(app, f"64 in flight, {name}", partial(send, files={"file": ("a", data)}))
    with serving(lambda: _picture(large_heic)) as url:
        yield crowd(app, "64 in flight, by ?url=", partial(send, params={"url": url}))
    correction: dict[str, Any] = {"files": {"file": ("a", large_heic)}, "data": {"label": "cat"}}
    yield crowd(app, "64 in flight, corrections", partial(send, path="/feedback", **correction))


def crowd(app: App, kind: str, send: Callable[[], int]) -> Cost:
    """Keep 64 requests of one attacker in flight for a while, and measure what ten visitors notice."""
    cost, over = Cost(kind), threading.Event()

    def attack_on() -> None:
        while not over.is_set():
            try:
                cost.statuses[send()] += 1
            except httpx.HTTPError:
                cost.statuses[0] += 1

    threads = [threading.Thread(target=attack_on) for _ in range(_IN_FLIGHT)]
    with Health(app.port) as health, _watching(app, cost, tree_mb(app.pid), visitors=_VISITORS):
        for thread in threads:
            thread.start()
        time.sleep(_CROWD_S)
    over.set()
    for thread in threads:
        thread.join()
    cost.health_s = health.slowest_s
    return cost


def _picture(data: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: image/heic\r\nContent-Length: %d\r\n\r\n" % len(data) + data


@contextmanager
def _watching(app: App, cost: Cost, idle_mb: float, *, visitors: int) -> Iterator[None]:
    """Note memory, and send each visitor's photo a second, while a block runs."""
    over = threading.Event()

    def sample() -> None:
        while not over.wait(_SAMPLED_EVERY_S):
            cost.megabytes = max(cost.megabytes, tree_mb(app.pid) - idle_mb)

    photo = encoded(Image.new("RGB", (640, 480), "green"), "JPEG")

    def visit(number: int) -> None:
        headers = {"X-Forwarded-For": f"198.51.100.{number}"}
        while True:
            started = time.monotonic()
            try:
                answer = httpx.post(
                    f"{app.url}/predict", files={"file": photo}, headers=headers, timeout=60, verify=_TLS
                )
                cost.refused_visits += answer.is_error
            except httpx.HTTPError:
                cost.refused_visits += 1
            cost.visits_s.append(time.monotonic() - started)
            if over.wait(_VISITS_EVERY_S):
                return

    visits = [partial(visit, number) for number in range(1, visitors + 1)]
    threads = [threading.Thread(target=each) for each in (sample, *visits)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _files(make: Callable[[], Files], app: App) -> Iterator[Request]:
    for name, data in make().items():
        yield name, partial(_post, app, files={"file": (name, data)})


def _fetches(answers: Mapping[str, Callable[[], Iterator[bytes]]], app: App) -> Iterator[Request]:
    for name, answer in answers.items():
        yield name, partial(_fetch, app, answer)


def _fetch(app: App, answer: Callable[[], Iterator[bytes]]) -> int:
    with serving(answer) as url:
        return _post(app, params={"url": url})


def _forms(app: App) -> Iterator[Request]:
    for name, body in forms().items():
        yield name, partial(_post, app, content=body, headers={"Content-Type": FORM_TYPE})


def _post(
    app: App,
    *,
    path: str = "/predict",
    headers: Mapping[str, str] | None = None,
    timeout_s: float = _ANSWERED_WITHIN_S,
    **options: Any,
) -> int:
    merged = {**_ATTACKER, **(headers or {})}
    url = f"{app.url}{path}"
    return httpx.post(url, headers=merged, timeout=timeout_s, verify=_TLS, **options).status_code


_KINDS: Mapping[str, Callable[[App], Iterator[Request]]] = {
    **{kind: partial(_files, make) for kind, make in FILES.items()},
    "slow servers": partial(_fetches, SLOW),
    "strange redirects": partial(_fetches, REDIRECTS),
    "forms": _forms,
}

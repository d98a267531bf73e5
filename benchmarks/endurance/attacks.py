"""The attack set against the running app, kind by kind: what does one attacker cost everybody else?

Beside each attack visitors send photos, and `/health` is asked, from another process. Printed for each kind: the
slowest request, the memory above idle of the app and its workers, the slowest `/health`, and the visitors' p95.
"""

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from benchmarks.endurance.attack_files import FILES, Files
from benchmarks.endurance.attack_servers import FORM_TYPE, REDIRECTS, SLOW, forms, serving
from benchmarks.harness.app_process import App, status_of
from benchmarks.harness.bystanders import Bystanders, Noticed

ATTACK_SETTINGS = {"CATDOG_TRUSTED_PROXIES": "1", "CATDOG_TEST_ALLOW_PRIVATE_URLS": "true"}
_ATTACKER = {"X-Forwarded-For": "203.0.113.1"}
_TLS = ssl.create_default_context()  # once: each client would make one
_ANSWERED_WITHIN_S = 120.0
_SAMPLED_EVERY_S = 0.02
_VISITORS, _VISITS_EVERY_S = 2, 0.5  # kinds last seconds, and a percentile wants a few visits


Request = tuple[str, Callable[[], int]]
"""What is sent, and a function that sends it and returns the status."""


@dataclass(frozen=True)
class Goals:
    """What each kind may cost at most; for a machine with two free cores."""

    seconds: float = 2.5
    megabytes: float = 300.0
    health_s: float = 0.25
    visitor_p95_s: float = 1.0


GOALS = {"slow servers": Goals(seconds=12.0), "crowd": Goals(megabytes=400.0)}
"""Where they are others: a fetch may wait 10 s, which costs nothing; of a crowd, two pictures are decoded at a time."""


@dataclass
class Cost:
    """What one kind cost."""

    kind: str
    seconds: float = 0.0
    slowest: str = ""
    megabytes: float = 0.0
    noticed: Noticed = field(default_factory=Noticed)
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The cost in a line."""
        noticed = self.noticed
        slowest = f"{self.seconds:.1f} s ({self.slowest}), " if self.slowest else ""
        return (
            f"{self.kind}: {slowest}{self.megabytes:.0f} MB, /health {noticed.slowest_health_s:.2f} s, "
            f"visitors p95 {noticed.visitor_p95_s:.2f} s, {noticed.refused} of {len(noticed.visits_s)} refused, "
            f"statuses {dict(sorted(self.statuses.items()))}"
        )

    def missed(self, goals: Goals) -> Iterator[str]:
        """The goals that were missed."""
        for what, value, most in (
            ("seconds", self.seconds, goals.seconds),
            ("megabytes", self.megabytes, goals.megabytes),
            ("seconds for /health", self.noticed.slowest_health_s, goals.health_s),
            ("seconds for a visitor (p95)", self.noticed.visitor_p95_s, goals.visitor_p95_s),
            ("visits refused", self.noticed.refused, 0),
            ("answers of /health other than 200", self.noticed.unhealthy.total(), 0),
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


def attack(app: App, kind: str, requests: Iterable[Request]) -> Cost:
    """Send one kind's requests, each alone, and measure what everybody else notices."""
    cost, ready = Cost(kind), list(requests)  # making them takes processor time
    with watching(app, cost, visitors=_VISITORS, every_s=_VISITS_EVERY_S):
        for name, send in ready:
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
    return cost


@contextmanager
def watching(app: App, cost: Cost, *, visitors: int, every_s: float) -> Iterator[None]:
    """Note memory, and what visitors and a monitor notice, while a block runs."""
    over, idle_mb = threading.Event(), tree_mb(app.pid)

    def sample() -> None:
        while not over.wait(_SAMPLED_EVERY_S):
            cost.megabytes = max(cost.megabytes, tree_mb(app.pid) - idle_mb)

    thread = threading.Thread(target=sample)
    bystanders = Bystanders(app.port, visitors=visitors, every_s=every_s)
    with bystanders:
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
    cost.noticed = bystanders.noticed


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


KINDS: Mapping[str, Callable[[App], Iterator[Request]]] = {
    **{kind: partial(_files, make) for kind, make in FILES.items()},
    "slow servers": partial(_fetches, SLOW),
    "strange redirects": partial(_fetches, REDIRECTS),
    "forms": _forms,
}
"""Every kind, and its requests."""

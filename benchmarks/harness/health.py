"""Asks `/health` while something else happens, from a process of its own, since the measuring one is busy."""

import http.client
import multiprocessing
import time
from http import HTTPStatus
from multiprocessing.synchronize import Event
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

_ANSWERED_WITHIN_S = 300.0
_HEALTH_ASKED_EVERY_S = 0.05


class Health:
    """Asks `/health` again and again while a block runs."""

    def __init__(self, port: int) -> None:
        processes = multiprocessing.get_context("spawn")
        self._over = processes.Event()
        self._began = processes.Event()
        self._slowest = processes.Value("d", 0.0)
        self._process = processes.Process(target=_ask, args=(port, self._began, self._over, self._slowest))

    @property
    def slowest_s(self) -> float:
        """The longest that an answer took."""
        return float(self._slowest.value)

    def __enter__(self) -> Self:
        self._process.start()
        self._began.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._process.join()
        if self._process.exitcode:
            raise SystemExit("/health did not answer")


def _ask(port: int, began: Event, over: Event, slowest: "Synchronized[float]") -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWERED_WITHIN_S)
    while not over.wait(_HEALTH_ASKED_EVERY_S):
        began.set()
        asked = time.monotonic()
        connection.request("GET", "/health")
        answer = connection.getresponse()
        answer.read()
        slowest.value = max(slowest.value, time.monotonic() - asked)
        if answer.status != HTTPStatus.OK:
            raise SystemExit(answer.status)

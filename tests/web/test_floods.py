"""The short forms of the floods: many hostile pictures at once, and the mix of `make soak`."""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from benchmarks.endurance.hostile import send_by_page, send_to_api
from benchmarks.endurance.soak import flood, problems
from benchmarks.harness.app_process import State
from tests.toy import encoded, picture
from tests.web.conftest import Server

MOST_MB = 145
"""Above what the server held before; two of these pictures decoded side by side need 160."""
AT_ONCE = 6


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_pictures_at_once_wait_for_each_other_and_health_answers(client: httpx.Client, server: Server) -> None:
    hostile = [
        encoded(picture("red", (3990, 4000)), "PNG"),
        encoded(picture("red", (2450, 2450)), "WEBP", method=0),
        encoded(picture("red", (3990, 4000)), "JPEG", progressive=True),
    ]
    before = State.of(server.process.pid).resident_mb
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], State.of(server.process.pid).resident_mb)

    watching = threading.Thread(target=watch)
    watching.start()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ways = (send_to_api, send_by_page)
        sent = [pool.submit(ways[n // 3 % 2], server.url, hostile[n % 3]) for n in range(AT_ONCE)]
        assert client.get("/health").status_code == 200
        answers = [each.result() for each in sent]
    done.set()
    watching.join()
    assert answers == (["200"] * 3 + ["complete"] * 3) * (AT_ONCE // 6)
    assert peak[0] - before < MOST_MB


def test_a_short_soak_finds_no_error_and_loses_no_connection(server: Server) -> None:
    port = urlsplit(server.url).port
    assert port
    outcomes = asyncio.run(flood(port, requests=120, clients=8, seed=1))
    assert sum(outcomes.values()) >= 120
    assert outcomes["200"] > 30
    assert outcomes["cancelled"]
    state = State(300, 30, 10)
    assert problems(state, state, outcomes, server.log.read_text(), []) == []

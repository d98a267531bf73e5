"""One attacker with 64 requests in flight, and ten visitors beside it: are the visitors served?

The limits of requests are in force, and the attacker uses them up: 600 requests at once, and ten a second from then on.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import quote

from PIL import Image

from benchmarks.endurance.attack_files import encoded, grids, legal
from benchmarks.endurance.attack_servers import serving
from benchmarks.endurance.attacks import Cost, watching
from benchmarks.harness.app_process import App
from benchmarks.harness.bystanders import NO_ANSWER, HttpConnection, picture_request, request_head

CROWD_SETTINGS = {
    "CATDOG_RATE_LIMIT": "600/minute",
    "CATDOG_FEEDBACK_LIMIT": "600/minute",  # the default would refuse nearly all of the attack
    "CATDOG_FEEDBACK_PER_DAY": "100000000",
}
_IN_FLIGHT, _VISITORS, _SECONDS = 64, 10, 15.0
_AT_ONCE, _PER_SECOND = 600, 10
_STREAMS, _STREAMS_PER_S = 1200, 100
_SETTLING_S = 1.0

Crowd = Callable[[App, str], Cost]
"""Runs one attack, of the kind that it is told the name of, and says what it cost."""


def _in_flight(make: Callable[[str], bytes], app: App, kind: str) -> Cost:
    """Keep one attacker's requests in flight for a while."""
    cost, request = Cost(kind), make(_attacker(kind))
    with watching(app, cost, visitors=_VISITORS, every_s=1.0):
        asyncio.run(_for_a_while(partial(_ask_on, app.port, request, cost, itertools.count()), _IN_FLIGHT))
    return cost


def _fetches(picture: Callable[[], bytes], app: App, kind: str) -> Cost:
    """The same for pictures by address, from a server on this machine."""
    data = picture()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/heic\r\nContent-Length: %d\r\n\r\n" % len(data)
    with serving(lambda: iter((head + data,))) as url:
        path = f"/predict?url={quote(url, safe='')}"
        return _in_flight(lambda client: request_head("POST", path, client=client), app, kind)


def _streams(app: App, kind: str) -> Cost:
    """Open event streams, each of a session of its own, and keep them open."""
    cost, sessions = Cost(kind), itertools.count()
    with watching(app, cost, visitors=_VISITORS, every_s=1.0):
        asyncio.run(_for_a_while(partial(_hold_stream, app.port, _attacker(kind), cost, sessions), _STREAMS))
    return cost


def _attacker(kind: str) -> str:
    """An address for each kind, so that none is judged by what came before."""
    return f"203.0.113.{2 + list(CROWDS).index(kind)}"


async def _for_a_while(attack: Callable[[], Awaitable[None]], at_once: int) -> None:
    attackers = [asyncio.ensure_future(attack()) for _ in range(at_once)]
    await asyncio.sleep(_SECONDS)
    for each in attackers:
        each.cancel()
    await asyncio.gather(*attackers, return_exceptions=True)
    await asyncio.sleep(_SETTLING_S)  # visitors notice what is left, too


async def _ask_on(port: int, request: bytes, cost: Cost, sent: "itertools.count[int]") -> None:
    """Send one request after the other, as far as the attacker's allowance goes."""
    connection, began = HttpConnection(port), asyncio.get_running_loop().time()
    try:
        while True:
            allowed_at = began + (next(sent) - _AT_ONCE) / _PER_SECOND
            await asyncio.sleep(allowed_at - asyncio.get_running_loop().time())
            try:
                cost.statuses[await connection.ask(request)] += 1
            except (OSError, EOFError):
                cost.statuses[NO_ANSWER] += 1
    finally:
        connection.close()


async def _hold_stream(port: int, client: str, cost: Cost, sessions: "itertools.count[int]") -> None:
    connection, number = HttpConnection(port), next(sessions)
    await asyncio.sleep(number / _STREAMS_PER_S)
    try:
        request = request_head("GET", f"/gradio_api/heartbeat/session{number}", client=client)
        cost.statuses[await connection.ask(request)] += 1
        await asyncio.Event().wait()
    except (OSError, EOFError):
        cost.statuses[NO_ANSWER] += 1
    finally:
        connection.close()


def _prediction(picture: Callable[[], bytes]) -> Crowd:
    return partial(_in_flight, lambda client: picture_request(picture(), client=client))


def _correction(picture: Callable[[], bytes]) -> Crowd:
    return partial(_in_flight, lambda client: picture_request(picture(), client=client, path="/feedback", label="cat"))


def _heic() -> bytes:
    return legal()["HEIC of 48 megapixels"]


CROWDS: dict[str, Crowd] = {
    "crowd: HEIC of 48 megapixels": _prediction(_heic),
    "crowd: flat PNG of 16 megapixels": _prediction(lambda: encoded(Image.new("RGB", (4000, 4000)), "PNG")),
    "crowd: progressive JPEG": _prediction(lambda: legal()["JPEG progressive"]),
    "crowd: tiles that repeat": _prediction(lambda: grids()["HEIC 2 x 2 of 4096"]),
    "crowd: GIF": _prediction(lambda: encoded(Image.new("P", (2000, 2000)), "GIF")),
    "crowd: by address": partial(_fetches, _heic),
    "crowd: corrections": _correction(_heic),
    "crowd: event streams": _streams,
}
"""Every attack of many at once."""

"""A queue that clients share: whoever has used the least time goes next, and nobody crowds out the others."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from catdog.errors import BusyError
from web.metrics.gauges import Load
from web.service.workers import Workers

Result = TypeVar("Result")

_BUSY = "Too many pictures are waiting. Try again in a few seconds."
_MOST_CLIENTS = 10_000
_FORGETS = 0.9  # of what a client's dearest work took, with each cheaper one


@dataclass(slots=True)
class _Client:
    name: str
    waiting: deque[asyncio.Future[float]] = field(default_factory=deque)
    held: int = 0
    used_s: float = 0.0
    """Its virtual time: what it has used, not less than what those had used who were there when it came back."""
    dearest_s: float | None = None
    """About how long its dearest recent work took; None before the first has ended."""

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.held


class FairQueue:
    """A number of places for costly work, and a bounded queue before them. Used by one event loop.

    Places go to clients by start-time fair queueing (Goyal, Vin and Cheng, 1996), with seconds as the cost: a client
    whose work is a hundred times as dear gets its turn a hundredth as often. One whose work is dear, or not known yet,
    holds at most `places_if_dear` places, and every other one at most `most_of_a_client`. When the queue is full, the
    newest request of the client with the most waiting makes room for that of a client with fewer.

    Whoever is cancelled, waiting or working, leaves its place to the next.
    """

    def __init__(  # noqa: PLR0913 - all its limits
        self,
        places: int,
        *,
        max_waiting: int,
        places_if_dear: int,
        most_of_a_client: int | None = None,
        dear_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty.

        Args:
            places: How many may work at a time.
            max_waiting: How many may wait, of all clients together.
            places_if_dear: How many of one client may work at a time while its work takes long.
            most_of_a_client: How many of one client may work at a time in any case; all places if None.
            dear_s: What counts as long.
            clock: Seconds.
        """
        self._places = places
        self._max_waiting = max_waiting
        self._places_if_dear = places_if_dear
        self._most_of_a_client = most_of_a_client or places
        self._dear_s = dear_s
        self._clock = clock
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._in_line: dict[str, _Client] = {}  # those with something waiting
        self._waiting = 0
        self._held = 0
        self._now_s = 0.0  # the virtual time of the client that was served last

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator[None]:
        """Wait for a place and keep it while the block runs.

        Raises:
            BusyError: too much is waiting, of this client above all.
        """
        charged_s = await self._enter(client)
        started = self._clock()
        try:
            yield
        finally:
            self._leave(client, self._clock() - started, charged_s)

    def load(self) -> Load:
        """How busy it is."""
        return Load(self._waiting, self._held, self._places)

    async def _enter(self, name: str) -> float:
        """Wait for a place; returns the seconds that were charged in advance."""
        client = self._known(name)
        if self._waiting >= self._max_waiting:
            self._make_room(client)
        turn: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        client.waiting.append(turn)
        self._in_line[name] = client
        self._waiting += 1
        self._serve()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn in client.waiting:
                client.waiting.remove(turn)
                self._left_line(client)
            elif turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave(name, 0.0, turn.result())
            raise

    def _leave(self, name: str, seconds: float, charged_s: float) -> None:
        client = self._clients[name]
        client.held -= 1
        self._held -= 1
        client.used_s += seconds - charged_s
        client.dearest_s = max(seconds, _FORGETS * (client.dearest_s or 0.0))
        self._serve()

    def _serve(self) -> None:
        """Give free places to those whose turn it is."""
        while self._held < self._places:
            able = [each for each in self._in_line.values() if self._may_hold_more(each)]
            if not able:
                return
            client = min(able, key=lambda each: each.used_s)
            turn = client.waiting.popleft()
            self._left_line(client)
            if not turn.done():  # else it was cancelled, and its task has not run yet
                self._give_place(client, turn)

    def _give_place(self, client: _Client, turn: asyncio.Future[float]) -> None:
        self._now_s = max(self._now_s, client.used_s)
        charged_s = client.dearest_s or 0.0
        client.used_s += charged_s
        client.held += 1
        self._held += 1
        turn.set_result(charged_s)

    def _may_hold_more(self, client: _Client) -> bool:
        is_cheap = client.dearest_s is not None and client.dearest_s < self._dear_s
        return client.held < (self._most_of_a_client if is_cheap else self._places_if_dear)

    def _make_room(self, client: _Client) -> None:
        """Refuse the newest request of the client with the most waiting, unless that is this one."""
        most = max(self._in_line.values(), key=lambda each: len(each.waiting))
        if len(most.waiting) <= len(client.waiting) + 1:
            raise BusyError(_BUSY)
        turn = most.waiting.pop()
        self._left_line(most)
        if not turn.done():
            turn.set_exception(BusyError(_BUSY))

    def _left_line(self, client: _Client) -> None:
        """Count one less that waits."""
        self._waiting -= 1
        if not client.waiting:
            del self._in_line[client.name]

    def _known(self, name: str) -> _Client:
        """What is known of a client; those idle for longest are forgotten."""
        client = self._clients.setdefault(name, _Client(name))
        self._clients.move_to_end(name)
        if client.is_idle:
            client.used_s = max(client.used_s, self._now_s)
        while len(self._clients) > _MOST_CLIENTS and next(iter(self._clients.values())).is_idle:
            self._clients.popitem(last=False)
        return client


class FairWorkers:
    """Threads behind a fair queue. A few pieces of work more than there are threads have a place.

    So a thread that is done takes the next one by itself, instead of standing idle until the event loop has its turn.
    """

    def __init__(self, *, threads: int, max_waiting: int) -> None:
        """Start idle.

        Args:
            threads: How many.
            max_waiting: How much work may wait.
        """
        self._workers = Workers(threads=threads, max_waiting=max_waiting)
        self._threads = threads
        places = threads + 1 + threads // 2
        self._queue = FairQueue(
            places,
            max_waiting=max_waiting,
            places_if_dear=max(1, threads // 2),
            most_of_a_client=places - max(1, threads // 4),
        )

    async def run(self, client: str, work: Callable[[], Result]) -> Result:
        """Run `work` in a thread when it is the client's turn, and return what it returns.

        Raises:
            BusyError: too much is waiting, of this client above all.
        """
        async with self._queue.place(client):
            return await self._workers.run(work)

    def load(self) -> Load:
        """How busy the threads are."""
        held, waiting = self._queue.load().busy, self._queue.load().waiting
        return Load(waiting + max(0, held - self._threads), min(held, self._threads), self._threads)

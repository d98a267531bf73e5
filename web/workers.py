"""Places for costly work: so many at once, and a bounded queue before them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

from catdog.errors import BusyError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a number of places is."""

    waiting: int
    busy: int
    places: int


class Places:
    """So many may work at a time, in the order in which they came; beyond a bounded queue, work is refused.

    Whoever is cancelled, waiting or working, leaves its place to the next.
    """

    def __init__(self, places: int, *, max_waiting: int) -> None:
        self._places = places
        self._max_waiting = max_waiting
        self._limiter: anyio.CapacityLimiter | None = None

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place and keep it while the block runs.

        Raises:
            BusyError: `max_waiting` others are waiting already.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._places)  # needs a running event loop
        if self._limiter.statistics().tasks_waiting >= self._max_waiting:
            raise BusyError("Too many pictures are waiting. Try again in a few seconds.")
        async with self._limiter:
            yield

    def load(self) -> Load:
        """How busy they are; asked from the event loop."""
        if self._limiter is None:
            return Load(0, 0, self._places)
        now = self._limiter.statistics()
        return Load(now.tasks_waiting, now.borrowed_tokens, self._places)


class Workers:
    """A few threads for decoding and inference, so that the event loop never waits for a picture."""

    def __init__(self, *, threads: int, max_waiting: int) -> None:
        self._places = Places(threads, max_waiting=max_waiting)
        self._threads = threads
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run `work` in a thread and return what it returns.

        Raises:
            BusyError: `max_waiting` others are waiting already.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._threads)
        async with self._places.place():
            return await run_sync(work, limiter=self._limiter)

    def load(self) -> Load:
        """How busy they are; asked from the event loop."""
        return self._places.load()

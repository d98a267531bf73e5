"""A value that is expensive to read, such as a count of rows: read in a thread of its own, one reading at a time."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Value = TypeVar("Value")

_WAIT_S = 0.25


class Cached(Generic[Value]):
    """Reads a value again when it is too old. Used by one event loop.

    Whoever asks meanwhile waits a moment for the new value and then gets the old one: however many ask, there is one
    reading, and none of them waits for a slow disk. Only before the first reading has ended, all wait for it.
    """

    def __init__(
        self, read: Callable[[], Value], *, max_age_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Read nothing yet.

        Args:
            read: Reads the value; called in a thread.
            max_age_s: How old a value may be.
            clock: Seconds.
        """
        self._read = read
        self._max_age_s = max_age_s
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cached")
        self._last: asyncio.Future[Value] | None = None
        self._reading: asyncio.Future[Value] | None = None
        self._due_at = -float("inf")

    async def get(self) -> Value:
        """The value, or the error that reading it raised."""
        if self._reading is None and self._clock() >= self._due_at:
            self._due_at = self._clock() + self._max_age_s
            self._reading = asyncio.get_running_loop().run_in_executor(self._thread, self._read)
            self._reading.add_done_callback(self._ended)
        if self._reading is not None:
            await asyncio.wait((self._reading,), timeout=_WAIT_S if self._last else None)
        assert self._last is not None
        return self._last.result()

    def expire(self) -> None:
        """Read it again next time: it has changed."""
        self._due_at = -float("inf")

    def _ended(self, reading: asyncio.Future[Value]) -> None:
        self._last, self._reading = reading, None

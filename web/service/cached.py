"""A value that is expensive to read, such as a count of rows: read in a thread of its own, one reading at a time."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Value = TypeVar("Value")

_WAIT_S = 0.25
_LONG_S = 0.03
_REST = 20


class Cached(Generic[Value]):
    """Reads a value again when it is too old. Used by one event loop.

    Whoever asks meanwhile waits a moment for the new value and then gets the old one: however many ask, there is one
    reading, and none of them waits for a slow disk. Where the last reading took long, nobody waits at all, and the
    next one begins only after twenty times as long, so that reading takes a twentieth of a core at most. Only before
    the first reading has ended, all wait for it.
    """

    def __init__(
        self,
        read: Callable[[], Value],
        *,
        max_age_s: float,
        clock: Callable[[], float] = time.monotonic,
        effort: Callable[[], float] = time.thread_time,
    ) -> None:
        """Read nothing yet.

        Args:
            read: Reads the value; called in a thread.
            max_age_s: How old a value may be.
            clock: Seconds.
            effort: Seconds of processor time that the calling thread has used; unlike others, they tell how much there
                is to read also on a busy machine.
        """
        self._read = read
        self._max_age_s = max_age_s
        self._clock = clock
        self._effort = effort
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cached")
        self._last: asyncio.Future[Value] | None = None
        self._reading: asyncio.Future[Value] | None = None
        self._due_at = self._rests_until = -float("inf")
        self._took_s = 0.0

    def warm_up(self) -> None:
        """Begin to read it, for those who ask later; if that is quick, they read it again."""
        self._begin()
        self.expire()

    async def get(self) -> Value:
        """The value, or the error that reading it raised."""
        self._begin()
        if self._reading is not None and not (self._last and self._took_s > _LONG_S):
            await asyncio.wait((self._reading,), timeout=_WAIT_S if self._last else None)
        assert self._last is not None
        return self._last.result()

    def expire(self) -> None:
        """Read it again next time: it has changed."""
        self._due_at = -float("inf")

    def _begin(self) -> None:
        """Begin to read it if it is due."""
        if self._reading is None and (now := self._clock()) >= max(self._due_at, self._rests_until):
            self._due_at = now + self._max_age_s
            self._reading = asyncio.get_running_loop().run_in_executor(self._thread, self._timed)
            self._reading.add_done_callback(self._ended)

    def _timed(self) -> Value:
        began = self._effort()
        try:
            return self._read()
        finally:
            self._took_s = self._effort() - began

    def _ended(self, reading: asyncio.Future[Value]) -> None:
        self._last, self._reading = reading, None
        self._rests_until = self._clock() + (_REST * self._took_s if self._took_s > _LONG_S else 0.0)

"""Worker threads for decoding and inference, so that the event loop never waits for a picture."""

from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

from catdog.errors import BusyError

Result = TypeVar("Result")


class Workers:
    """A few threads and a bounded queue before them: beyond it, work is refused rather than piled up."""

    def __init__(self, *, threads: int, max_waiting: int) -> None:
        self._threads = threads
        self._max_waiting = max_waiting
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run `work` in a thread and return what it returns.

        Raises:
            BusyError: `max_waiting` others are waiting already.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._threads)  # needs a running event loop
        if self._limiter.statistics().tasks_waiting >= self._max_waiting:
            raise BusyError("Too many pictures are waiting. Try again in a few seconds.")
        return await run_sync(work, limiter=self._limiter)

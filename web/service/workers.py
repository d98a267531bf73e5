"""Places for costly work: so many at once, and a bounded queue before them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from catdog.errors import BusyError
from web.metrics.gauges import Load

Result = TypeVar("Result")

_BUSY = "Too many pictures are waiting. Try again in a few seconds."


class Workers:
    """A few threads for decoding and inference, so that the event loop never waits for a picture.

    A thread that is done takes the next work by itself, in the order in which it came: if the event loop had to hand it
    over, the thread would stand idle until that has its turn.
    """

    def __init__(self, *, threads: int, max_waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker")
        self._threads = threads
        self._max_waiting = max_waiting
        self._unfinished = 0  # changed by the event loop alone

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run `work` in a thread and return what it returns. Whoever is cancelled leaves the queue.

        Raises:
            BusyError: `max_waiting` others are waiting already.
        """
        if self._unfinished >= self._threads + self._max_waiting:
            raise BusyError(_BUSY)
        self._unfinished += 1
        try:
            return await _result(self._pool.submit(work))
        finally:
            self._unfinished -= 1

    def load(self) -> Load:
        """How busy they are; asked from the event loop."""
        return Load(max(0, self._unfinished - self._threads), min(self._unfinished, self._threads), self._threads)


async def _result(job: Future[Result]) -> Result:
    """Wait for a job. Whoever is cancelled takes it out of the queue or, where it has begun, waits until it ends."""
    try:
        return await asyncio.wrap_future(job)
    except asyncio.CancelledError:
        if not job.cancel():
            loop, ended = asyncio.get_running_loop(), asyncio.Event()
            job.add_done_callback(lambda _: loop.call_soon_threadsafe(ended.set))
            await ended.wait()  # what it uses may be closed afterwards, not before
        raise

"""Values that are expensive to read: who waits, and how often they are read."""

import asyncio
import threading
from collections.abc import Callable

from web.service.cached import Cached


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def reader(clock: Clock, takes_s: float) -> tuple[Callable[[], int], list[int]]:
    readings: list[int] = []

    def read() -> int:
        clock.now += takes_s
        readings.append(len(readings))
        return readings[-1]

    return read, readings


def test_a_quick_value_is_read_again_as_soon_as_it_has_changed() -> None:
    clock = Clock()
    read, _ = reader(clock, 0.001)

    async def ask() -> list[int]:
        cached = Cached(read, max_age_s=1.0, clock=clock, effort=clock)
        found = [await cached.get(), await cached.get()]
        cached.expire()
        return [*found, await cached.get()]

    assert asyncio.run(ask()) == [0, 0, 1]


def test_nobody_waits_for_a_value_that_takes_long_to_read() -> None:
    clock, may_end = Clock(), threading.Event()
    may_end.set()

    def read() -> float:
        may_end.wait()
        clock.now += 0.3
        return clock.now

    async def ask() -> None:
        cached = Cached(read, max_age_s=1.0, clock=clock, effort=clock)
        first = await cached.get()
        may_end.clear()
        clock.now += 100
        assert await cached.get() == first  # the reading that has begun is not waited for
        may_end.set()

    asyncio.run(ask())


def test_reading_takes_a_twentieth_of_the_time_at_most_however_often_it_changes() -> None:
    clock = Clock()
    read, readings = reader(clock, 0.3)

    async def ask() -> None:
        cached = Cached(read, max_age_s=1.0, clock=clock, effort=clock)
        for _ in range(600):
            cached.expire()
            await cached.get()
            await asyncio.sleep(0)
            clock.now += 0.1

    asyncio.run(ask())
    assert len(readings) <= 11

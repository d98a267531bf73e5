"""The queue that clients share: who goes next, who has to wait, and who may leave."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from catdog.errors import BusyError
from web.service.fair_queue import FairQueue


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Party:
    """Requests that hold their places until they are told to end."""

    def __init__(self, queue: FairQueue, clock: Clock) -> None:
        self.served: list[str] = []
        self._queue = queue
        self._clock = clock
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def asks(self, name: str) -> None:
        """A request of the client that its first letter names."""
        self.coming(name)
        await settle()

    def coming(self, name: str) -> None:
        """One comes with the loop's next turn."""
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._hold(name, name[0]))

    async def ends(self, name: str, *, after_s: float = 0.0) -> None:
        self._clock.now_s += after_s
        self._ends[name].set()
        await self._tasks.pop(name)
        await settle()

    def leaves(self, name: str) -> None:
        """A request is cancelled, wherever it is."""
        self._tasks[name].cancel()

    def ending(self, name: str) -> None:
        """It ends with the loop's next turn."""
        self._ends[name].set()

    async def result(self, name: str) -> object:
        (result,) = await asyncio.gather(self._tasks.pop(name), return_exceptions=True)
        return result

    async def all_end(self) -> None:
        while self._tasks:
            name = next((each for each in self._tasks if each in self.served), None)
            assert name is not None, f"nobody serves {list(self._tasks)}"
            await self.ends(name, after_s=0.1)

    async def _hold(self, name: str, client: str) -> None:
        async with self._queue.place(client):
            self.served.append(name)
            await self._ends[name].wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def party(
    story: Callable[[Party, FairQueue], Coroutine[Any, Any, None]],
    *,
    places: int = 1,
    max_waiting: int = 10,
    if_dear: int = 1,
    most_of_a_client: int | None = None,
) -> Party:
    """Run a story with a queue of its own."""
    clock = Clock()
    queue = FairQueue(
        places, max_waiting=max_waiting, places_if_dear=if_dear, most_of_a_client=most_of_a_client, clock=clock
    )
    guests = Party(queue, clock)
    asyncio.run(story(guests, queue))
    assert queue.load().busy == 0
    assert queue.load().waiting == 0
    return guests


def test_clients_take_turns_however_many_requests_one_of_them_has() -> None:
    async def story(guests: Party, _: FairQueue) -> None:
        for name in ("a1", "a2", "a3", "b1", "c1"):
            await guests.asks(name)
        for name in ("a1", "b1", "c1", "a2", "a3"):
            await guests.ends(name, after_s=0.1)

    assert party(story).served == ["a1", "b1", "c1", "a2", "a3"]


def test_a_client_whose_work_takes_ten_times_as_long_gets_a_tenth_of_the_turns() -> None:
    async def story(guests: Party, _: FairQueue) -> None:
        await guests.asks("a1")
        await guests.ends("a1", after_s=1.0)
        for name in ("a2", *(f"b{n}" for n in range(8)), "a3"):
            await guests.asks(name)
        await guests.ends("a2", after_s=1.0)
        for n in range(8):
            await guests.ends(f"b{n}", after_s=0.1)
        await guests.ends("a3", after_s=1.0)

    assert party(story).served == ["a1", "a2", *(f"b{n}" for n in range(8)), "a3"]


def test_one_whose_work_is_dear_never_has_all_places() -> None:
    async def story(guests: Party, queue: FairQueue) -> None:
        await guests.asks("a1")
        await guests.ends("a1", after_s=1.0)
        for name in ("a2", "a3", "a4"):
            await guests.asks(name)
        assert queue.load().busy == 1
        await guests.asks("b1")
        assert guests.served == ["a1", "a2", "b1"]
        await guests.all_end()

    party(story, places=3)


def test_one_whose_work_is_cheap_has_its_share_and_no_more() -> None:
    async def story(guests: Party, queue: FairQueue) -> None:
        await guests.asks("a1")
        await guests.ends("a1", after_s=0.01)
        for name in ("a2", "a3", "a4"):
            await guests.asks(name)
        assert queue.load().busy == 2
        await guests.asks("b1")
        assert guests.served == ["a1", "a2", "a3", "b1"]
        await guests.all_end()

    party(story, places=3, most_of_a_client=2)


def test_in_a_full_queue_the_newest_request_of_the_greediest_makes_room() -> None:
    async def story(guests: Party, _: FairQueue) -> None:
        for name in ("a1", "a2", "a3", "a4", "b1"):
            await guests.asks(name)
        assert isinstance(await guests.result("a4"), BusyError)
        await guests.asks("a5")
        assert isinstance(await guests.result("a5"), BusyError)
        await guests.all_end()

    assert party(story, max_waiting=3).served == ["a1", "b1", "a2", "a3"]


def test_who_leaves_while_waiting_is_passed_over() -> None:
    async def story(guests: Party, queue: FairQueue) -> None:
        for name in ("a1", "b1", "c1"):
            await guests.asks(name)
        guests.leaves("b1")
        assert isinstance(await guests.result("b1"), asyncio.CancelledError)
        assert queue.load().waiting == 1
        await guests.all_end()

    assert party(story).served == ["a1", "c1"]


def test_who_leaves_at_the_moment_in_which_its_turn_comes_disturbs_nobody() -> None:
    """What happens in one turn of the event loop: a request is cancelled, and another one gives its place away."""

    async def story(guests: Party, _: FairQueue) -> None:
        for name in ("a1", "b1", "c1"):
            await guests.asks(name)
        guests.ending("a1")  # its task runs before that of the one that leaves
        guests.leaves("b1")
        assert await guests.result("a1") is None
        assert isinstance(await guests.result("b1"), asyncio.CancelledError)
        await guests.all_end()

    assert party(story).served == ["a1", "c1"]


def test_who_leaves_with_its_turn_already_given_passes_it_on() -> None:
    async def story(guests: Party, queue: FairQueue) -> None:
        await guests.asks("a1")
        await guests.asks("b1")
        await guests.asks("c1")
        guests.ending("a1")
        await asyncio.sleep(0)
        assert queue.load().waiting == 1  # b1 has been given the place, and has not run yet
        guests.leaves("b1")
        assert isinstance(await guests.result("b1"), asyncio.CancelledError)
        await guests.result("a1")
        await guests.all_end()

    assert party(story).served == ["a1", "c1"]


def test_one_that_makes_room_and_leaves_at_that_moment_disturbs_nobody() -> None:
    async def story(guests: Party, _: FairQueue) -> None:
        for name in ("a1", "a2", "a3"):
            await guests.asks(name)
        guests.coming("b1")  # its task runs before that of the one that leaves
        guests.leaves("a3")
        assert isinstance(await guests.result("a3"), asyncio.CancelledError)
        await guests.all_end()

    assert sorted(party(story, max_waiting=2).served) == ["a1", "a2", "b1"]


def test_a_block_that_fails_gives_its_place_back() -> None:
    async def story(_: Party, queue: FairQueue) -> None:
        for _ in range(3):
            with pytest.raises(ValueError, match="broken"):
                async with queue.place("a"):
                    raise ValueError("broken")

    party(story)

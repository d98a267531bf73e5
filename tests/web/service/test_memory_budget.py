"""Threads that decode: small pictures side by side, a large one alone, and nobody passed by for ever."""

import threading
from dataclasses import dataclass

import pytest

from tests.web.conftest import wait_for
from web.service.memory_budget import PixelBudget


@dataclass(frozen=True)
class Picture:
    pixels: int


class Decoding:
    """A thread that decodes a picture of some pixels until it is told to end."""

    def __init__(self, budget: PixelBudget, pixels: int) -> None:
        self.began = threading.Event()
        self.end = threading.Event()
        self.was_read = threading.Event()
        self._budget, self._pixels = budget, pixels
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._budget.hold(self._open):
            self.began.set()
            self.end.wait()

    def _open(self) -> Picture:
        self.was_read.set()
        return Picture(self._pixels)

    def finish(self) -> None:
        self.end.set()
        self._thread.join()


def test_small_pictures_are_decoded_side_by_side_and_a_large_one_waits_for_them() -> None:
    budget = PixelBudget(10)
    first, second = Decoding(budget, 5), Decoding(budget, 5)
    assert first.began.wait(30)
    assert second.began.wait(30)
    large = Decoding(budget, 50)
    first.finish()
    assert not large.began.wait(0.05)
    second.finish()
    assert large.began.wait(30)
    large.finish()


def test_a_large_picture_is_not_passed_by_small_ones() -> None:
    budget = PixelBudget(10)
    first = Decoding(budget, 5)
    assert first.began.wait(30)
    large = Decoding(budget, 10)
    wait_for(budget._turn.locked, "the large one to take its turn")
    small = Decoding(budget, 1)
    assert not small.began.wait(0.05)
    first.finish()
    assert large.began.wait(30)
    assert not small.began.wait(0.05)
    large.finish()
    assert small.began.wait(30)
    small.finish()


def test_a_picture_that_fails_gives_its_pixels_back() -> None:
    budget = PixelBudget(10)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"), budget.hold(lambda: Picture(10)):
            raise ValueError("broken")
    with budget.hold(lambda: Picture(10)):
        pass


def test_a_picture_that_cannot_be_opened_leaves_its_turn_to_the_next() -> None:
    budget = PixelBudget(10)

    def broken() -> Picture:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), budget.hold(broken):
        pass
    with budget.hold(lambda: Picture(10)):
        pass


def test_of_all_that_wait_one_has_read_its_file() -> None:
    budget = PixelBudget(10)
    first = Decoding(budget, 10)
    assert first.began.wait(30)
    waiting = [Decoding(budget, 10) for _ in range(5)]
    wait_for(lambda: any(each.was_read.is_set() for each in waiting), "one to read")
    assert [each.was_read.is_set() for each in waiting].count(True) == 1
    for each in (first, *waiting):
        each.finish()
    assert all(each.began.is_set() for each in waiting)

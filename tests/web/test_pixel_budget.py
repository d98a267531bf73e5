"""Threads that decode: small pictures side by side, a large one alone, and nobody passed by for ever."""

import threading

import pytest

from tests.web.conftest import wait_for
from web.pixel_budget import PixelBudget


class Decoding:
    """A thread that decodes a picture of some pixels until it is told to end."""

    def __init__(self, budget: PixelBudget, pixels: int) -> None:
        self.began = threading.Event()
        self.end = threading.Event()
        self._budget, self._pixels = budget, pixels
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._budget.hold(self._pixels):
            self.began.set()
            self.end.wait()

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
        with pytest.raises(ValueError, match="broken"), budget.hold(10):
            raise ValueError("broken")
    with budget.hold(10):
        pass

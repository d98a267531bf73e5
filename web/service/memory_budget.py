"""How many pixels may be held decoded at a time: pictures beyond that wait, rather than fill the memory together."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar


class Opened(Protocol):
    """A picture whose file was read."""

    @property
    def pixels(self) -> int:
        """How many it will hold once it is decoded."""


Picture = TypeVar("Picture", bound=Opened)


class PixelBudget:
    """Lets threads decode side by side as long as their pictures are small together; a larger one goes alone.

    They take turns in the order in which they came, so that a large picture is not passed by small ones for ever.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._held = 0
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, open_: Callable[[], Picture]) -> Iterator[Picture]:
        """Open a picture, wait until it may be decoded, and count it until the block ends.

        A file is read only when its turn has come: of all that wait, however many threads there are, one is in memory.
        """
        with self._turn:
            picture = open_()
            with self._changed:
                self._changed.wait_for(lambda: not self._held or self._held + picture.pixels <= self._pixels)
                self._held += picture.pixels
        try:
            yield picture
        finally:
            with self._changed:
                self._held -= picture.pixels
                self._changed.notify_all()

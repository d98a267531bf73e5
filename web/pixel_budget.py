"""How many pixels may be held decoded at a time: pictures beyond that wait, rather than fill the memory together."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait until a picture of so many pixels may be decoded, and count it until the block ends."""
        with self._turn, self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + pixels <= self._pixels)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()

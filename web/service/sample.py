"""The random sample: which pictures are kept for review, of those whose senders consented, up to a number a day."""

import random
import threading
import time
from collections.abc import Callable

_DAY_S = 86_400.0
PER_DAY = 500
"""However many are sent: a person looks at each, and nobody may fill the disk."""


class RandomSample:
    """Chooses. Safe to use from many threads."""

    def __init__(
        self,
        share: float,
        *,
        per_day: int = PER_DAY,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a sample.

        Args:
            share: Of the pictures whose senders consented, in [0, 1]; 0 keeps none.
            per_day: The most within 24 hours.
            chance: A random number in [0, 1).
            clock: Seconds.
        """
        self._share = share
        self._per_day = per_day
        self._chance = chance
        self._clock = clock
        self._lock = threading.Lock()
        self._since = clock()
        self._chosen = 0

    @property
    def is_open(self) -> bool:
        """Whether anybody is asked for consent."""
        return self._share > 0

    def chooses(self) -> bool:
        """Whether the next picture belongs to it."""
        if self._chance() >= self._share:
            return False
        with self._lock:
            if self._clock() - self._since >= _DAY_S:
                self._since, self._chosen = self._clock(), 0
            if self._chosen >= self._per_day:
                return False
            self._chosen += 1
            return True

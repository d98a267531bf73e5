"""Recent predictions: a cache with a time to live, in memory, for the correction that may follow."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

MAX_AGE_S = 30 * 60.0
MAX_BYTES = 48_000_000

_OVERHEAD_BYTES = 2_000  # of an entry besides its picture, so that a flood of tiny pictures stays within the limit

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Item]):
    item: Item
    size: int
    expires_at: float


class RecentPredictions(Generic[Item]):
    """Forgets by age, and the oldest first when it is full. Safe to use from many threads."""

    def __init__(
        self,
        *,
        max_age_s: float = MAX_AGE_S,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_age_s = max_age_s
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry[Item]] = OrderedDict()  # in order of age
        self._size = 0

    def put(self, key: str, item: Item, *, size: int) -> None:
        """Store an item of `size` bytes; it replaces an earlier one under the same key."""
        entry = _Entry(item, size + _OVERHEAD_BYTES, self._clock() + self._max_age_s)
        with self._lock:
            self._drop(key)
            self._entries[key] = entry
            self._size += entry.size
            self._forget()

    def get(self, key: str) -> Item | None:
        """The item under a key; None if there is none, or none any more."""
        with self._lock:
            self._forget()
            entry = self._entries.get(key)
        return entry.item if entry else None

    def __len__(self) -> int:
        with self._lock:
            self._forget()
            return len(self._entries)

    def _forget(self) -> None:
        now = self._clock()
        while self._entries:
            key, oldest = next(iter(self._entries.items()))
            if oldest.expires_at > now and self._size <= self._max_bytes:
                return
            self._drop(key)

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry:
            self._size -= entry.size

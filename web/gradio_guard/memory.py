"""Bounds what Gradio remembers of sessions and files: by default it keeps much of it for ever.

That is 40 kB for each of 10,000 sessions, and programs open one with each call; every result that nobody fetches; the
name of every upload. One client within its rate limit could fill the memory in hours.
"""

import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

import gradio as gr
from gradio.queueing import Queue
from gradio.routes import file_upload_statuses
from gradio.utils import LRUCache

_STATES = 100
"""The page keeps its state in the browser: a session whose state is forgotten loses nothing."""

_SESSIONS = 1000
"""Of those that have results to fetch; far more than the events that wait or run at a time."""

UNFETCHED = 32
"""How many results a session may leave unfetched."""

LONGEST_SESSION = 64
"""Characters in the name of a session; a browser's has 11, a program's 36."""

_UPLOADS = 1000


class Unfetched:
    """Results that wait in Gradio's queue for programs to fetch them."""

    def __init__(self, queue: Queue) -> None:
        """Bound what a queue keeps."""
        self._events: LRUCache[str, set[str]] = LRUCache(_SESSIONS)
        self._messages: LRUCache[str, asyncio.Queue[Any]] = LRUCache(_SESSIONS)
        queue.pending_event_ids_session, queue.pending_messages_per_session = self._events, self._messages
        queue.ANAYLTICS_CACHE_FREQUENCY = sys.maxsize  # else a table of the last 10,000 events is made after each
        queue.ANALYTICS_MAX_EVENTS = 1

    def may_ask(self, session: str) -> bool:
        """Whether a session may ask for one more; a known session becomes the last to be forgotten."""
        if len(self._events.get(session, ())) >= UNFETCHED:
            return False
        for known in (self._events, self._messages):
            if session in known:
                known.move_to_end(session)
        return True


def bound_memory(page: gr.Blocks) -> Unfetched:
    """Bound what Gradio keeps for a page that was mounted and serves nobody yet."""
    page.state_holder.capacity = _STATES
    page.upload_file_set = _NoNames()
    for block in page.blocks.values():
        block.temp_files = _NoNames()
    file_upload_statuses._signals = _Signals(_UPLOADS)  # type: ignore[assignment]  # noqa: SLF001 - no other way
    file_upload_statuses._statuses = LRUCache(_UPLOADS)  # noqa: SLF001
    return Unfetched(page._queue)  # noqa: SLF001


class UploadShares:
    """How much of the folder of uploads each client has filled within the time that files stay there."""

    def __init__(self, most_bytes: int, *, kept_s: float = 600.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing uploaded.

        Args:
            most_bytes: Of one client.
            kept_s: How long a file stays.
            clock: Seconds.
        """
        self._most_bytes = most_bytes
        self._kept_s = kept_s
        self._clock = clock
        self._uploads: deque[tuple[float, str, int]] = deque()  # the oldest first
        self._held: Counter[str] = Counter()

    def take(self, client: str, size: int) -> bool:
        """Count a file, unless that exceeds the client's share; returns whether it was counted."""
        now = self._clock()
        while self._uploads and self._uploads[0][0] <= now - self._kept_s:
            _, other, bytes_ = self._uploads.popleft()
            self._held[other] -= bytes_
            if self._held[other] <= 0:
                del self._held[other]
        if self._held[client] + size > self._most_bytes:
            return False
        self._uploads.append((now, client, size))
        self._held[client] += size
        return True


class _Signals(LRUCache[str, asyncio.Event]):
    """By an upload's name: set once it begins."""

    def __missing__(self, upload: str) -> asyncio.Event:
        signal = self[upload] = asyncio.Event()
        return signal


class _NoNames(set[str]):
    """Stays empty. Gradio would keep the paths of files here to delete them; ours go by their age."""

    def add(self, _: str) -> None:
        """Forget it."""

    def update(self, *_: Iterable[str]) -> None:
        """Forget them."""

"""Two lanes for pictures, so that small photos never wait behind what is slow to decode.

Small JPEG, PNG and WebP pictures are decoded in the threads of the first lane. Whatever else a file turns out to be
when its header is read (HEIC, AVIF, GIF, large, damaged, hostile) goes on to the second lane, whose threads wait for
processes that can be stopped. Clients take turns in both.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Generic, TypeVar

from PIL import Image

from catdog.allocator import trim
from catdog.images.decode import ImageLimits, Photo, open_image
from catdog.images.pool import PROCESSES, DecodingPool
from web.metrics.gauges import Load
from web.service.fair_queue import FairWorkers
from web.service.memory_budget import PixelBudget

Result = TypeVar("Result")

KEPT_AS_SENT_BYTES = 200_000
"""Larger pictures are remembered as a JPEG of 512 pixels, and so are those that are slow to decode."""

_LARGE_PIXELS = 4_000_000
"""Decoding more leaves memory behind that is worth giving back."""

Reader = Callable[[], bytes]
"""Reads the picture, as often as it is called; in a worker thread."""


def whole(file: IO[bytes]) -> Reader:
    """Reads a file from its beginning."""

    def read() -> bytes:
        file.seek(0)
        return file.read()

    return read


class _SlowToDecodeError(Exception):
    """The picture belongs into the other lane."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture, decoded."""

    image: Image.Image
    as_sent: bytes
    """Its file; empty if that is large or slow to decode."""


@dataclass(frozen=True, slots=True)
class _Done(Generic[Result]):
    """What came of the work."""

    result: Result


@dataclass(frozen=True, slots=True)
class _Opened:
    """A picture that is about to be decoded in this process."""

    photo: Photo
    as_sent: bytes

    @property
    def pixels(self) -> int:
        return self.photo.pixels


class PictureLanes:
    """Decodes pictures, and goes on with them in the same thread. Used by one event loop."""

    def __init__(
        self, limits: ImageLimits, *, threads: int, max_waiting: int, took: Callable[[str, float], None]
    ) -> None:
        """Make the lanes.

        Args:
            limits: How large one picture may be.
            threads: For small pictures, and for work that needs none.
            max_waiting: How many requests may wait in each lane.
            took: Records how many seconds a request took to `wait` for its thread, and to `decode` its picture.
        """
        self._limits = limits
        self._took = took
        self._memory = PixelBudget(limits.max_decoded_pixels)
        self._apart = DecodingPool()
        self._quick = FairWorkers(threads=threads, max_waiting=max_waiting)
        self._slow = FairWorkers(threads=PROCESSES, max_waiting=max_waiting)

    async def run(self, client: str, read: Reader, side: int, work: Callable[[Decoded], Result]) -> Result:
        """Decode a picture when it is the client's turn, and do some work with it.

        Args:
            client: Whose turn.
            read: Reads its file.
            side: How many pixels its shorter side must keep.
            work: What to do with it.

        Raises:
            ImageError: it cannot be read or is too large.
            BusyError: too much is waiting.
        """
        asked_at = time.perf_counter()
        done = await self._quick.run(client, partial(self._do_quickly, read, side, work, asked_at))
        if done is not None:
            return done.result
        return await self._slow.run(client, partial(self._do_apart, read, side, work, asked_at))

    @contextmanager
    def decoded(self, read: Reader, *, side: int) -> Iterator[Decoded]:
        """Decode a small picture in this thread when there is room for it in memory."""
        began_at = time.perf_counter()
        with ExitStack() as after, self._memory.hold(partial(self._open, read, side)) as opened:
            if opened.pixels > _LARGE_PIXELS:
                after.callback(trim)
            image = opened.photo.decode()
            self._took("decode", time.perf_counter() - began_at)
            yield Decoded(image, opened.as_sent)

    def loads(self) -> dict[str, Load]:
        """How busy each lane is."""
        return {"pictures": self._quick.load(), "slow_pictures": self._slow.load()}

    def _do_quickly(
        self, read: Reader, side: int, work: Callable[[Decoded], Result], asked_at: float
    ) -> "_Done[Result] | None":
        """Decode and work; None if the picture belongs into the other lane.

        An error that went on to the event loop would hold the frames that it passed, and with them the picture's file,
        for as long as it is handled: all that wait in the other lane would be in memory.
        """
        began_at = time.perf_counter()
        try:
            with self.decoded(read, side=side) as decoded:
                self._took("wait", began_at - asked_at)
                return _Done(work(decoded))
        except _SlowToDecodeError:
            return None

    def _do_apart(self, read: Reader, side: int, work: Callable[[Decoded], Result], asked_at: float) -> Result:
        began_at = time.perf_counter()
        image = self._apart.decode(open_image(read(), limits=self._limits, side=side))
        self._took("wait", began_at - asked_at)
        self._took("decode", time.perf_counter() - began_at)
        return work(Decoded(image, b""))

    def _open(self, read: Reader, side: int) -> _Opened:
        """Read a picture's file; a large one is held only once, by its decoder."""
        data = read()
        photo = open_image(data, limits=self._limits, side=side)
        if not photo.is_plain:
            raise _SlowToDecodeError
        return _Opened(photo, data if len(data) <= KEPT_AS_SENT_BYTES else b"")

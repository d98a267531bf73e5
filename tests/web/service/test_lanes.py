"""The lanes of pictures: what is slow to decode holds up nobody whose picture is small."""

import asyncio
import io
import threading
import time
from collections.abc import Callable

import pytest
from PIL import Image

from catdog.errors import UnreadableImageError
from catdog.images.decode import ImageLimits
from tests.toy import encoded, picture
from tests.web.conftest import DEADLINE_S
from web.service.lanes import Decoded, PictureLanes, whole

SMALL = encoded(picture("red"), "PNG")
SLOW = encoded(picture("red"), "GIF")


def lanes(took: Callable[[str, float], None] = lambda _, __: None) -> PictureLanes:
    return PictureLanes(ImageLimits(), threads=1, max_waiting=64, took=took)


def test_a_small_picture_is_answered_while_another_client_fills_the_slow_lane() -> None:
    release = threading.Event()

    async def story() -> tuple[int, ...]:
        pictures = lanes()
        blocked = [
            asyncio.create_task(pictures.run("attacker", lambda: SLOW, 64, lambda _: release.wait())) for _ in range(20)
        ]
        size = await pictures.run("visitor", lambda: SMALL, 64, lambda decoded: decoded.image.size)
        assert not any(task.done() for task in blocked)
        release.set()
        await asyncio.gather(*blocked)
        return size

    assert asyncio.run(story()) == picture("red").size


def test_one_client_never_has_the_whole_slow_lane() -> None:
    release = threading.Event()

    async def story() -> tuple[int, ...]:
        pictures = lanes()
        blocked = [
            asyncio.create_task(pictures.run("attacker", lambda: SLOW, 64, lambda _: release.wait())) for _ in range(20)
        ]
        size = await pictures.run("visitor", lambda: SLOW, 64, lambda decoded: decoded.image.size)
        release.set()
        await asyncio.gather(*blocked)
        return size

    if lanes().loads()["slow_pictures"].places == 1:
        pytest.skip("on one core there is one place")
    assert asyncio.run(story()) == picture("red").size


@pytest.mark.parametrize("data", [SMALL, SLOW], ids=["small", "slow"])
def test_a_picture_is_read_from_the_beginning_of_its_file_in_either_lane(data: bytes) -> None:
    stages = []
    file = io.BytesIO(data)
    file.read()

    def work(decoded: Decoded) -> tuple[tuple[int, int], bool]:
        return decoded.image.size, bool(decoded.as_sent)

    size, is_kept_as_sent = asyncio.run(
        lanes(lambda stage, _: stages.append(stage)).run("visitor", whole(file), 64, work)
    )
    assert size == picture("red").size
    assert is_kept_as_sent == (data is SMALL)
    assert sorted(stages) == ["decode", "wait"]


def test_what_is_no_picture_is_refused_in_the_first_lane() -> None:
    with pytest.raises(UnreadableImageError):
        asyncio.run(lanes().run("visitor", lambda: b"no picture", 64, lambda decoded: decoded.image.size))


def test_a_panorama_comes_out_small() -> None:
    out = io.BytesIO()
    Image.new("L", (60_000, 600)).save(out, "GIF")
    size = asyncio.run(lanes().run("visitor", out.getvalue, 512, lambda decoded: decoded.image.size))
    assert size[0] * size[1] <= 4_000_000


def test_pictures_that_wait_in_the_slow_lane_are_not_in_memory() -> None:
    release, alive, reads = threading.Event(), [0], [0]

    class Data(bytes):
        def __del__(self) -> None:
            alive[0] -= 1

    def read() -> bytes:
        alive[0] += 1
        reads[0] += 1
        return Data(SLOW)

    async def story() -> int:
        pictures = lanes()
        blocked = [asyncio.create_task(pictures.run("attacker", read, 64, lambda _: release.wait())) for _ in range(20)]
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end and (reads[0] < 21 or alive[0] > 4):  # noqa: ASYNC110 - other threads do it
            await asyncio.sleep(0.01)
        waiting = alive[0]
        release.set()
        await asyncio.gather(*blocked)
        return waiting

    assert asyncio.run(story()) <= 4

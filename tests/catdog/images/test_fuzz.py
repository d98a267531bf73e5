"""Damaged pictures of every format: only our own errors, and never slow. `FUZZ_ROUNDS=45000` runs the long form."""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from catdog.errors import ImageError
from catdog.images.decode import decode_image
from tests.toy import encoded

pytestmark = pytest.mark.slow  # many short ones: together half a minute

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", "1500"))
SLOWEST_S = 2.0


def seeds() -> list[bytes]:
    """Pictures with detail, in every format and in the modes that take other paths through the decoders."""
    pillow_heif.register_heif_opener()
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
    photo = coarse.resize((160, 120), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    tag = exif.tobytes()
    animation = {"save_all": True, "append_images": [photo.rotate(90), photo.rotate(180)]}
    return [
        encoded(photo, "JPEG", exif=tag), encoded(photo, "JPEG", progressive=True), encoded(photo.convert("CMYK"), "JPEG"),
        encoded(photo.convert("L"), "JPEG"), encoded(photo.resize((1600, 1200)), "JPEG"), encoded(photo, "MPO", **animation),
        encoded(photo, "PNG", exif=tag), encoded(photo.convert("P"), "PNG"), encoded(photo.convert("LA"), "PNG"),
        encoded(Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257), "PNG"),
        encoded(photo, "PNG", **animation), encoded(photo, "WEBP", exif=tag), encoded(photo, "WEBP", lossless=True),
        encoded(photo, "WEBP", **animation), encoded(photo, "AVIF", exif=tag), encoded(photo, "GIF", **animation),
        encoded(photo, "BMP"), encoded(photo.convert("P"), "BMP"), encoded(photo, "HEIF", exif=tag),
    ]  # fmt: skip


def mutations(files: list[bytes], rounds: int) -> Iterator[bytes]:
    """Flip, overwrite, cut, repeat, drop and splice bytes; headers, where the structure is, more often than the rest."""
    rng = random.Random(1)
    for _ in range(rounds):
        data = bytearray(rng.choice(files))
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            end = len(data) if rng.random() < 0.5 else min(len(data), 256)
            at = rng.randrange(end)
            match rng.randrange(6):
                case 0:
                    data[at] ^= 1 << rng.randrange(8)
                case 1:
                    data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
                case 2:
                    data[at : at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"))
                case 3:
                    del data[max(1, at) :]
                case 4:
                    data[at:at] = data[at : at + rng.randrange(1, 64)]
                case _:
                    other = rng.choice(files)
                    cut = rng.randrange(len(other))
                    data[at : at + 64] = other[cut : cut + 64]
            if len(data) < 2:
                break
        yield bytes(data)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of what it repairs
def test_damaged_pictures_raise_only_our_errors_and_are_never_slow() -> None:
    outcomes: Counter[str] = Counter()
    for data in mutations(seeds(), ROUNDS):
        start = time.perf_counter()
        try:
            decode_image(data)
            outcome = "decoded"
        except ImageError as error:
            outcome = error.code
        outcomes[outcome] += 1
        assert time.perf_counter() - start < SLOWEST_S
    assert min(outcomes["decoded"], outcomes["unreadable_image"]) > ROUNDS // 20, outcomes

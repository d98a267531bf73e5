"""The picture formats that are accepted, and all that depends on the format: a new one is a line here and its header.

Which names a file may have, how a browser calls it, what decoding costs, and whether it is small enough to be decoded
in a thread of this process: everything else goes to a process of its own, see `catdog.images.pool`.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MAGIC_BYTES = 32
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_HEIF_BRANDS, _AVIF_BRANDS = frozenset((b"mif1", b"msf1", b"miaf")), frozenset((b"avif", b"avis"))


@dataclass(frozen=True, slots=True)
class Format:
    """One accepted format."""

    name: str
    pillow: str
    """Pillow's name of it; empty where another library decodes it."""
    suffixes: tuple[str, ...]
    """Of file names, in lower case; the first is the usual one."""
    media_type: str
    bytes_per_pixel: float
    """What its decoder holds for each decoded pixel, with what Pillow holds of the result: measured."""
    ns_per_pixel: float
    """Of processor time, measured on photos: what a picture will cost about."""
    thread_pixels: int = 0
    """Pictures of up to so many pixels are decoded in a thread; 0 is none."""


JPEG: Final = Format(
    "JPEG", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp"), "image/jpeg", 4, 6, 16_000_000
)
PNG: Final = Format("PNG", "PNG", (".png", ".apng"), "image/png", 4, 18, 4_000_000)
WEBP: Final = Format("WebP", "WEBP", (".webp",), "image/webp", 17, 50, 2_000_000)
AVIF: Final = Format("AVIF", "AVIF", (".avif", ".avifs"), "image/avif", 12, 25)
GIF: Final = Format("GIF", "GIF", (".gif",), "image/gif", 5, 25)
BMP: Final = Format("BMP", "BMP", (".bmp", ".dib"), "image/bmp", 4, 5)
HEIC: Final = Format("HEIC", "", (".heic", ".heif", ".hif", ".heics", ".heifs"), "image/heic", 4.7, 30)

FORMATS: Final = (JPEG, PNG, WEBP, AVIF, GIF, BMP, HEIC)
SUFFIXES: Final = frozenset(suffix for each in FORMATS for suffix in each.suffixes)
"""Of the names of picture files, in lower case."""
ACCEPTED: Final = ", ".join(each.name for each in FORMATS[:-1]) + f" or {FORMATS[-1].name}"
"""For sentences: `JPEG, PNG, ... or HEIC`."""


def detect(data: bytes) -> Format | None:
    """The format of a file by its first bytes; None if it isn't accepted. Pillow has 40 more, some with known holes."""
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if data.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    if data[4:8] == b"ftyp":
        return _of_container(data)
    return BMP if data.startswith(b"BM") else None


def is_picture(path: Path) -> bool:
    """Whether a regular file is a picture by its name or, where the name doesn't tell, by its first bytes.

    Named pipes, sockets and devices are never opened: reading from them may wait for ever.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a path may hold any bytes
            return False
        if path.suffix.lower() in SUFFIXES:
            return True
        if path.suffix.lower() in _OTHER_SUFFIXES:
            return False
        with path.open("rb") as file:
            return detect(file.read(_MAGIC_BYTES)) is not None
    except OSError:
        return False


_OTHER_SUFFIXES = frozenset((".parquet", ".json", ".jsonl", ".csv", ".txt", ".md", ".py", ".xmp", ".zip", ".pdf"))


def why_left_out(path: Path) -> str:
    """Why a file that is not a picture isn't read, in a few words that name its kind."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except OSError as error:
        return f"unreadable ({error.strerror})"
    for test, kind in ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder")):
        if test(mode):
            return kind
    if not stat.S_ISREG(mode):
        return "a device"
    return f"{path.suffix.lower()} isn't read" if path.suffix else "no picture by its first bytes"


def _of_container(data: bytes) -> Format | None:
    """AVIF and HEIC files may both begin with the same brand; the compatible ones after it tell them apart."""
    end = min(int.from_bytes(data[:4]), len(data), 1024)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))]
    if brands[0] in _HEIC_BRANDS:
        return HEIC
    if brands[0] in _AVIF_BRANDS or not _AVIF_BRANDS.isdisjoint(brands):
        return AVIF
    return HEIC if brands[0] in _HEIF_BRANDS or not _HEIC_BRANDS.isdisjoint(brands) else None

"""Picture files whose header was read and of which no pixel is decoded: one face for all decoders.

A decoder gives its pixels in strips, so that nobody holds a large picture twice.
"""

import functools
import io
import math
from types import ModuleType
from typing import Protocol

from PIL import Image, ImageFile

from catdog.images.colour import cicp_profile
from catdog.images.formats import AVIF, FORMATS, GIF, HEIC, WEBP

BYTES_PER_PIXEL = 4
"""What Pillow takes for one of an RGB picture."""

_OTHERS_BYTES = {each.pillow: each.bytes_per_pixel for each in (WEBP, AVIF, GIF)}
_NAMES = {each.pillow: each.name for each in FORMATS}
_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
_SCALES = {"L;2": 85, "L;4": 17}
_COEFFICIENT_BYTES = 2
_COLOURS = 3  # a grey picture counts as much: each scan takes its time


class Opened(Protocol):
    """A picture file. Its pixels come after `load`, until `release`."""

    @property
    def kind(self) -> str:
        """What people call it."""

    @property
    def declared(self) -> tuple[int, int]:
        """Width and height as the header has them."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as they will be decoded."""

    def reduce(self, side: int) -> None:
        """Let the decoder reduce its picture to 1/2, 1/4 or 1/8, both sides to no less than `side`, if it can."""

    def bytes_held(self) -> int:
        """About how much memory decoding takes."""

    def load(self) -> None:
        """Decode.

        Raises:
            OSError, RuntimeError, SyntaxError, ValueError, struct.error: the file is damaged.
        """

    def strip(self, top: int, bottom: int) -> Image.Image:
        """The rows from `top` to before `bottom`, in any mode."""

    def exif(self) -> bytes | None:
        """The EXIF that the decoder found."""

    def profile(self) -> bytes | None:
        """The ICC profile that the decoder found."""

    def release(self) -> None:
        """Give the memory back."""


class PillowFile:
    """A file that Pillow opened."""

    def __init__(self, file: ImageFile.ImageFile, *, is_multi_scan: bool) -> None:
        """Take a file over; of a JPEG in several scans the decoder holds all coefficients, whatever its scale."""
        self._file: ImageFile.ImageFile | Image.Image = file
        self._format = file.format or ""
        self._is_multi_scan = is_multi_scan
        self._declared = file.size
        self._window = file.tile[0][1] if self._format == GIF.pillow and file.tile else None
        _scale_transparency(file)

    @property
    def kind(self) -> str:
        """What people call it."""
        return "progressive JPEG" if self._is_multi_scan else _NAMES.get(self._format, self._format)

    @property
    def declared(self) -> tuple[int, int]:
        """Width and height as the header has them."""
        return self._declared

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, of a JPEG after its reduction."""
        return self._file.size

    def reduce(self, side: int) -> None:
        """Ask the decoder; only that of JPEG listens."""
        if isinstance(self._file, ImageFile.ImageFile):
            self._file.draft(None, (side, side))  # None keeps the mode

    def bytes_held(self) -> int:
        """About how much memory decoding takes."""
        each = _OTHERS_BYTES.get(self._format) or _MODE_BYTES.get(self._file.mode, BYTES_PER_PIXEL)
        coefficients = math.prod(self._declared) * max(_COLOURS, len(self._file.getbands())) * self._is_multi_scan
        return round(math.prod(self._file.size) * each) + coefficients * _COEFFICIENT_BYTES

    def load(self) -> None:
        """Decode."""
        self._file.load()
        if self._file.mode == "P" and self._file.palette is None:
            raise ValueError("no palette")

    def strip(self, top: int, bottom: int) -> Image.Image:
        """Some of the rows; all of them are not a copy."""
        if self._window and self._window != (0, 0, *self._file.size):
            return self._windowed(top, bottom)
        if bottom - top == self._file.height:
            return self._file._new(self._file.im)  # noqa: SLF001 - what its methods return, without the file
        return self._file.crop((0, top, self._file.width, bottom))

    def _windowed(self, top: int, bottom: int) -> Image.Image:
        """Rows of a first frame that doesn't fill its canvas: the rest is transparent."""
        left, upper, right, lower = self._window or (0, 0, 0, 0)
        rows = Image.new("RGBA", (self._file.width, bottom - top))
        first, last = max(upper, top), min(lower, bottom)
        if first < last:
            rows.paste(self._file.crop((left, first, right, last)).convert("RGBA"), (left, first - top))
        return rows

    def exif(self) -> bytes | None:
        """The EXIF that the decoder found."""
        data: bytes | None = self._file.info.get("exif")
        return data

    def profile(self) -> bytes | None:
        """The ICC profile that the decoder found."""
        data: bytes | None = self._file.info.get("icc_profile")
        return data

    def release(self) -> None:
        """Give the memory back."""
        self._file = Image.new("L", (1, 1))


class HeicFile:
    """A HEIC file. Beside libheif's result there is no second one, which Pillow's plugin would make of it."""

    def __init__(self, data: bytes) -> None:
        """Read the header.

        Raises:
            OSError, RuntimeError, SyntaxError, ValueError: the file is damaged.
        """
        self._image = _pillow_heif().open_heif(io.BytesIO(data), remove_stride=False)
        try:
            self._size: tuple[int, int] = self._image.size
        except IndexError:  # the library opens a file that declares no picture
            raise ValueError("no picture") from None
        self._pixels = memoryview(b"")
        self._stride = 0
        self._info = dict(self._image.info)

    kind = HEIC.name

    @property
    def declared(self) -> tuple[int, int]:
        """Width and height."""
        return self.size

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self._size

    def reduce(self, side: int) -> None:
        """Nothing: a thumbnail that the file brings may show something else."""

    def bytes_held(self) -> int:
        """About how much memory decoding takes."""
        return round(math.prod(self.size) * HEIC.bytes_per_pixel)

    def load(self) -> None:
        """Decode."""
        self._pixels, self._stride = memoryview(self._image.data), self._image.stride

    def strip(self, top: int, bottom: int) -> Image.Image:
        """Some of the rows."""
        rows = self._pixels[top * self._stride : bottom * self._stride]
        mode = self._image.mode
        return Image.frombytes(mode, (self.size[0], bottom - top), rows, "raw", mode, self._stride)

    def exif(self) -> bytes | None:
        """None: libheif does what the container says, and `catdog.images.heif` reads the rest."""
        return None

    def profile(self) -> bytes | None:
        """The ICC profile, or one for the colours that the container names by number."""
        if found := self._info.get("icc_profile"):
            return bytes(found)
        numbers = self._info.get("nclx_profile") or {}
        return cicp_profile(numbers.get("color_primaries", 1), numbers.get("transfer_characteristics", 13))

    def release(self) -> None:
        """Give the memory back."""
        self._pixels = memoryview(b"")
        self._image = None


def _scale_transparency(file: ImageFile.ImageFile) -> None:
    """PNG names its transparent colour in the file's depth; Pillow scales the pixels to 8 bits, and not the colour."""
    found = file.info.get("transparency")
    if file.format != "PNG" or not file.tile or isinstance(found, bytes) or found is None:
        return
    raw = str(file.tile[0][3])
    if isinstance(found, tuple) and raw.endswith(";16B"):
        file.info["transparency"] = tuple(value >> 8 for value in found)
    elif raw in _SCALES and file.mode == "L":
        file.info["transparency"] = min(255, found * _SCALES[raw])


@functools.cache
def _pillow_heif() -> ModuleType:
    """The library, with all turned off that is not the picture; imported late because it is large."""
    import pillow_heif  # noqa: PLC0415

    pillow_heif.options.THUMBNAILS = False
    pillow_heif.options.DEPTH_IMAGES = False
    pillow_heif.options.AUX_IMAGES = False
    pillow_heif.options.DECODE_THREADS = 1
    module: ModuleType = pillow_heif
    return module

"""Picture files whose header was read and of which no pixel is decoded: one face for all decoders.

A decoder gives its pixels in strips, so that nobody holds a large picture twice.
"""

import functools
import io
import math
from types import ModuleType
from typing import Protocol

from PIL import Image, ImageFile

BYTES_PER_PIXEL = 4
"""What Pillow takes for one of an RGB picture."""

# Measured: bytes that a decoder holds for each pixel, with what Pillow holds of its result.
_OTHERS_BYTES = {"WEBP": 17, "AVIF": 12}
_HEIC_BYTES = 4.7
_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
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

    @property
    def kind(self) -> str:
        """What people call it."""
        return "progressive JPEG" if self._is_multi_scan else self._format

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
        return math.prod(self._file.size) * each + coefficients * _COEFFICIENT_BYTES

    def load(self) -> None:
        """Decode."""
        self._file.load()
        if self._file.mode == "P" and self._file.palette is None:
            raise ValueError("no palette")

    def strip(self, top: int, bottom: int) -> Image.Image:
        """Some of the rows; all of them are no copy."""
        if bottom - top == self._file.height:
            return self._file._new(self._file.im)  # noqa: SLF001 - what its methods return, without the file
        return self._file.crop((0, top, self._file.width, bottom))

    def exif(self) -> bytes | None:
        """The EXIF that the decoder found."""
        data: bytes | None = self._file.info.get("exif")
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

    kind = "HEIC"

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
        return round(math.prod(self.size) * _HEIC_BYTES)

    def load(self) -> None:
        """Decode."""
        self._pixels, self._stride = memoryview(self._image.data), self._image.stride

    def strip(self, top: int, bottom: int) -> Image.Image:
        """Some of the rows."""
        rows = self._pixels[top * self._stride : bottom * self._stride]
        mode = self._image.mode
        return Image.frombytes(mode, (self.size[0], bottom - top), rows, "raw", mode, self._stride)

    def exif(self) -> bytes | None:
        """None: libheif turns pictures upright."""
        return None

    def release(self) -> None:
        """Give the memory back."""
        self._pixels = memoryview(b"")
        self._image = None


@functools.cache
def _pillow_heif() -> ModuleType:
    """The library, with all turned off that is not the picture; imported late because it is large."""
    import pillow_heif  # noqa: PLC0415

    pillow_heif.options.THUMBNAILS = False
    pillow_heif.options.DEPTH_IMAGES = False
    pillow_heif.options.AUX_IMAGES = False
    module: ModuleType = pillow_heif
    return module

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

# Bytes that a decoder holds for each pixel at its worst, with what Pillow holds of its result.
_OTHERS_BYTES = {"WEBP": 20, "AVIF": 18, "HEIF": 8}
_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}
_COEFFICIENT_BYTES = 2


class Opened(Protocol):
    """A picture file. Its pixels come after `load`, until `release`."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""

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

    def __init__(self, file: ImageFile.ImageFile, *, coefficients: int = 0) -> None:
        """Take a file over.

        Args:
            file: What Pillow opened, with its draft size set.
            coefficients: How many a JPEG decoder must hold of a picture that comes in several scans.
        """
        self._file: ImageFile.ImageFile | Image.Image = file
        self._format = file.format or ""
        self._coefficients = coefficients

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, of a JPEG after its reduction."""
        return self._file.size

    def bytes_held(self) -> int:
        """About how much memory decoding takes."""
        each = _OTHERS_BYTES.get(self._format) or _MODE_BYTES.get(self._file.mode, BYTES_PER_PIXEL)
        return math.prod(self._file.size) * each + self._coefficients * _COEFFICIENT_BYTES

    def load(self) -> None:
        """Decode."""
        self._file.load()
        if self._file.mode == "P" and self._file.palette is None:
            raise ValueError("no palette")

    def strip(self, top: int, bottom: int) -> Image.Image:
        """Some of the rows."""
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
        self._pixels = memoryview(b"")
        self._stride = 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        width, height = self._image.size
        return width, height

    def bytes_held(self) -> int:
        """About how much memory decoding takes."""
        return math.prod(self.size) * _OTHERS_BYTES["HEIF"]

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

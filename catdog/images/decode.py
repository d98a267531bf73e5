"""Photo bytes to pixels: decoding what strangers send."""

import io
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from catdog.errors import ImageTooLargeError, UnreadableImageError
from catdog.images.containers import exif_orientation, is_heic, strip
from catdog.images.decoders import BYTES_PER_PIXEL, HeicFile, Opened, PillowFile
from catdog.model.metadata import Preprocessing

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP")
"""Pillow's names of the accepted formats beside HEIC; it has 40 more, some with a history of holes."""

ACCEPTED = "JPEG, PNG, WebP, AVIF, GIF, BMP or HEIC"

DECODED_SIDE = 512
"""A large picture is reduced to 1/2, 1/4 or 1/8 that leaves its shorter side this many pixels: enough for every use.
A network of known size may need fewer, see `decoded_side`."""

_SPARE = 1.25

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_STRIP_PIXELS = 1_000_000
"""A large picture is converted and reduced in parts of so many pixels, not held as a whole in another mode."""

_MOST_BYTES_PER_PIXEL = 6.5
"""Of `max_decoded_pixels`. What Pillow decodes takes 4, a progressive JPEG 6, a WebP 17: it may have fewer pixels."""
_MOST_BYTES_PER_HEIC_PIXEL = 5.0

_DAMAGED_HEADER = f"The image's header is damaged. Send another {ACCEPTED} file."

# What Pillow's decoders raise on damaged input, found by fuzzing: their own errors are not wrapped.
_DECODER_ERRORS = (EOFError, OSError, RuntimeError, SyntaxError, ValueError, struct.error)


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """How large one image may be; the defaults are those of the settings."""

    max_bytes: int = 20_000_000
    max_pixels: int = 64_000_000
    max_decoded_pixels: int = 16_000_000
    max_heic_pixels: int = 50_000_000
    """Phones take HEIC of 48 million pixels, and it has no reduced-scale decoding."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo whose header was read and found acceptable, and of which no pixel is decoded yet."""

    pixels: int
    """How many of them decoding holds in memory at a time, with all that decoders keep: 4 bytes each."""
    _file: Opened
    _orientation: int | None
    _side: int

    def decode(self) -> Image.Image:
        """Decode the first frame, once: upright RGB, on white where it is transparent.

        Raises:
            UnreadableImageError: the image is damaged or cut short.
        """
        try:
            self._file.load()
            image = _reduced_rgb(self._file, self._side)
        except _DECODER_ERRORS:
            raise UnreadableImageError(
                "The image is damaged or cut short. Open it on your device and save it again, or choose another one."
            ) from None
        finally:
            exif = self._file.exif()
            self._file.release()
        orientation = self._orientation or exif_orientation(exif)
        image.info = {}
        return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def decoded_side(spec: Preprocessing) -> int:
    """How many pixels the shorter side must keep for a network: what it is resampled to, and a quarter more.

    With these, the resampling to the network's size decides what it sees, not the decoder's coarse steps.
    """
    return min(DECODED_SIDE, math.ceil(_SPARE * spec.input_size / spec.crop_pct))


def open_image(data: bytes, *, limits: ImageLimits | None = None, side: int = DECODED_SIDE) -> Photo:
    """Read one photo's header, and cut off what is no picture.

    Bytes and pixels are counted before any pixel is decoded, so a compression bomb costs a header. Large pictures will
    come out at 1/2, 1/4 or 1/8 of their size, with at least `side` pixels left on the shorter side.

    Raises:
        UnreadableImageError: the bytes are no image of an accepted format, or their header is damaged.
        ImageTooLargeError: there are more bytes or pixels than `limits` allows.
    """
    limits = limits or ImageLimits()
    if not data:
        raise UnreadableImageError("The file is empty. Choose a photo and send it again.")
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(
            f"The image has {_millions(len(data))} MB; at most {_millions(limits.max_bytes)} MB are accepted. "
            "Send a smaller copy."
        )
    stripped = strip(data)
    if is_heic(stripped.data):
        file, most, bytes_each = _open_heic(stripped.data), limits.max_heic_pixels, _MOST_BYTES_PER_HEIC_PIXEL
    else:
        file = _open(stripped.data, is_multi_scan=stripped.is_multi_scan)
        most, bytes_each = limits.max_decoded_pixels, _MOST_BYTES_PER_PIXEL
    _check_declared(file, limits.max_pixels)
    file.reduce(side)
    held = file.bytes_held() + math.prod(file.size) // _factor(file.size, side) ** 2 * BYTES_PER_PIXEL
    _check_decoded(file, max(math.prod(file.size), held / bytes_each), most)
    return Photo(held // BYTES_PER_PIXEL, file, stripped.orientation, side)


def decode_image(data: bytes, *, limits: ImageLimits | None = None, side: int = DECODED_SIDE) -> Image.Image:
    """Decode one photo: its first frame, upright, without alpha channel or metadata; see `open_image`.

    Returns:
        An RGB image. Transparent pixels show white.

    Raises:
        UnreadableImageError: the bytes are no image of an accepted format, or are cut short.
        ImageTooLargeError: there are more bytes or pixels than `limits` allows.
    """
    return open_image(data, limits=limits, side=side).decode()


def read_image(path: Path, *, limits: ImageLimits | None = None, side: int = DECODED_SIDE) -> Image.Image:
    """Decode the photo in a file; like `decode_image`, and a file over the byte limit is not read.

    Raises:
        UnreadableImageError: the file is missing, is no file, or may not be read; or see `decode_image`.
        ImageTooLargeError: see `decode_image`.
    """
    limits = limits or ImageLimits()
    try:
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except OSError as error:
        raise UnreadableImageError(f"The file cannot be read: {error.strerror}.") from None
    return decode_image(data, limits=limits, side=side)


def to_jpeg(image: Image.Image, *, max_side: int = DECODED_SIDE, quality: int = 90) -> bytes:
    """Encode an RGB image as a JPEG without metadata, its longer side at most `max_side` pixels."""
    scale = max_side / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    out = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(out, "JPEG", quality=quality)
    return out.getvalue()


def _open_heic(data: bytes) -> Opened:
    try:
        return HeicFile(data)
    except _DECODER_ERRORS:
        raise UnreadableImageError(_DAMAGED_HEADER) from None


def _open(data: bytes, *, is_multi_scan: bool) -> Opened:
    try:
        return PillowFile(Image.open(io.BytesIO(data), formats=FORMATS), is_multi_scan=is_multi_scan)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLargeError("The image has far too many pixels. Send a smaller copy.") from None
    except UnidentifiedImageError:
        raise UnreadableImageError(f"This is no image that can be read. Send a {ACCEPTED} file.") from None
    except _DECODER_ERRORS:
        raise UnreadableImageError(_DAMAGED_HEADER) from None


def _check_declared(file: Opened, most: int) -> None:
    """Compare the pixels that the header declares with the limit of all formats."""
    if (declared := math.prod(file.declared)) > most:
        raise ImageTooLargeError(
            f"The image has {_millions(declared)} million pixels; at most {_millions(most)} million are accepted. "
            "Send a smaller copy."
        )


def _check_decoded(file: Opened, pixels: float, most: int) -> None:
    """Compare what is decoded with the limit; `pixels` may be more than there are, where they take more memory."""
    if pixels > most:
        declared = math.prod(file.declared)
        raise ImageTooLargeError(
            f"The image has {_millions(declared)} million pixels; a {file.kind} may have "
            f"{_millions(declared * most / pixels)} million. Send a smaller copy, or a plain JPEG."
        )


def _reduced_rgb(file: Opened, side: int) -> Image.Image:
    """A decoded picture in RGB, with at least `side` pixels on its shorter side; converted in strips."""
    (width, height), factor = file.size, _factor(file.size, side)
    rows = max(1, _STRIP_PIXELS // (width * factor)) * factor
    if rows >= height:
        return _reduce(_to_rgb(file.strip(0, height)), factor)
    reduced = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for top in range(0, height, rows):
        strip = file.strip(top, min(top + rows, height))
        reduced.paste(_reduce(_to_rgb(strip), factor), (0, top // factor))
    return reduced


def _factor(size: tuple[int, int], side: int) -> int:
    """By how much a picture is reduced; the JPEG decoder's rule."""
    return next(factor for factor in (8, 4, 2, 1) if factor * side <= min(size) or factor == 1)


def _reduce(image: Image.Image, factor: int) -> Image.Image:
    return image.reduce(factor) if factor > 1 else image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB: 16-bit grey is scaled rather than clipped, transparency is laid on white."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        grey = np.clip(np.asarray(image, dtype=np.float32) / 257.0, 0, 255)
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _millions(count: float) -> str:
    return f"{count / 1e6:.3g}"

"""Photo bytes to pixels: decoding what strangers send."""

import io
import math
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import AvifImagePlugin, Image, ImageChops, UnidentifiedImageError

from catdog.errors import ImageTooLargeError, UnreadableImageError
from catdog.images.colour import is_srgb, plain_profile, to_srgb
from catdog.images.containers import Stripped, exif_orientation, strip
from catdog.images.decoders import BYTES_PER_PIXEL, HeicFile, Opened, PillowFile
from catdog.images.formats import ACCEPTED, HEIC, JPEG, Format, detect

if TYPE_CHECKING:  # what decodes in a process of its own is kept small
    from catdog.model.metadata import Preprocessing

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

_MOST_BYTES_PER_PIXEL = 15
"""Of `max_decoded_pixels`: 240 MB at most by default. A PNG takes 4 a pixel, a progressive JPEG 6, a WebP 17."""
_PROGRESSIVE_BYTES_PER_PIXEL = 6

_THREAD_SCANS, _THREAD_PROGRESSIVE_PIXELS = 20, 4_000_000
"""A progressive JPEG with more is decoded in a process of its own."""
_MOST_RESULT_PIXELS = 4_000_000
"""Of a picture, reduced. Without this limit a panorama would be as large as when it was decoded."""

_LEAST_ROWS = 0.9
_SAME_ROW = 6  # grey levels
_OTHER_ENDS = b"", bytes((7 * n * n + 11 * n) % 251 for n in range(2_000))
"""What may follow where a JPEG was cut: nothing, or anything."""

DAMAGED = "The image is damaged or cut short. Open it on your device and save it again, or choose another one."
_DAMAGED_HEADER = f"The image's header is damaged. Send another {ACCEPTED} file."

# What Pillow's decoders raise on damaged input, found by fuzzing: their own errors are not wrapped.
_DECODER_ERRORS = (EOFError, OSError, RuntimeError, SyntaxError, ValueError, struct.error)


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """How large one image may be; the defaults are those of the settings."""

    max_bytes: int = 20_000_000
    max_pixels: int = 64_000_000
    max_decoded_pixels: int = 16_000_000

    @property
    def max_decoder_bytes(self) -> int:
        """What the decoder of one image may hold."""
        return _MOST_BYTES_PER_PIXEL * self.max_decoded_pixels


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo whose header was read and found acceptable, and of which no pixel is decoded yet."""

    pixels: int
    """How many of them decoding holds in memory at a time, with all that decoders keep: 4 bytes each."""
    seconds: float
    """About how much processor time decoding takes."""
    is_plain: bool
    """Whether it may be decoded in a thread of this process: a small JPEG, PNG or WebP whose decoder is fast and
    proven. Others belong into a process that can be stopped, see `catdog.images.pool`."""
    data: bytes
    """As it was sent; empty if it is plain."""
    limits: ImageLimits
    side: int
    _stripped: Stripped
    _format: Format
    _file: Opened | None

    def decode(self) -> Image.Image:
        """Decode the first frame, once: upright RGB in the colour space sRGB, on white where it is transparent.

        A JPEG without its end is decoded as far as it goes: at least nine tenths of its rows must be there.

        Raises:
            UnreadableImageError: the image is damaged or cut short.
            ImageTooLargeError: it is larger than its header said.
        """
        if self._stripped.is_cut:
            image, exif = _decode_cut(self._stripped, self.limits, self.side), None
        else:
            file = self._file or _checked(_open(self._stripped, self._format), self.limits, self.side)
            image, exif = _decode(file, self._stripped.profile, self.side)
        orientation = self._stripped.orientation or exif_orientation(exif)
        image.info = {}
        return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def decoded_side(spec: "Preprocessing") -> int:
    """How many pixels the shorter side must keep for a network: what it is resampled to, and a quarter more.

    With these, the resampling to the network's size decides what it sees, not the decoder's coarse steps.
    """
    return min(DECODED_SIDE, math.ceil(_SPARE * spec.input_size / spec.crop_pct))


def open_image(data: bytes, *, limits: ImageLimits | None = None, side: int = DECODED_SIDE) -> Photo:
    """Read one photo's header, and cut off everything but image data.

    Bytes and pixels are counted before any pixel is decoded, so a compression bomb costs a header. Large pictures will
    come out at 1/2, 1/4 or 1/8 of their size, with at least `side` pixels left on the shorter side.

    Raises:
        UnreadableImageError: the bytes are not an image of an accepted format, or their header is damaged.
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
    format_ = detect(data)
    if format_ is None:
        raise UnreadableImageError(f"This image can't be read. Send a {ACCEPTED} file.")
    stripped = _with_plain_profile(strip(data))
    if stripped.size:
        _check_declared(stripped.size, limits.max_pixels)
    if _is_plain(stripped, format_):
        file = _checked(_open(stripped, format_), limits, side)
        held = _held(file, side)
        seconds = math.prod(file.declared) * format_.ns_per_pixel / 1e9
        return Photo(held // BYTES_PER_PIXEL, seconds, True, b"", limits, side, stripped, format_, file)
    pixels = max(stripped.pixels, math.prod(stripped.size or (0, 0)))
    if format_ is not JPEG:
        _check_held(pixels * format_.bytes_per_pixel, pixels, format_.name, limits)
    elif stripped.is_multi_scan:
        _check_held(pixels * _PROGRESSIVE_BYTES_PER_PIXEL, pixels, "progressive JPEG", limits)
    held = round(pixels * format_.bytes_per_pixel)
    seconds = pixels * format_.ns_per_pixel / 1e9
    return Photo(held // BYTES_PER_PIXEL, seconds, False, data, limits, side, stripped, format_, None)


def decode_image(data: bytes, *, limits: ImageLimits | None = None, side: int = DECODED_SIDE) -> Image.Image:
    """Decode one photo: its first frame, upright, without alpha channel or metadata; see `open_image`.

    Returns:
        An RGB image. Transparent pixels show white.

    Raises:
        UnreadableImageError: the bytes are not an image of an accepted format, or are cut short.
        ImageTooLargeError: there are more bytes or pixels than `limits` allows.
    """
    return open_image(data, limits=limits, side=side).decode()


def read_image(path: Path, *, limits: ImageLimits | None = None, side: int = DECODED_SIDE) -> Image.Image:
    """Decode the photo in a file; like `decode_image`, and a file over the byte limit is not read.

    Raises:
        UnreadableImageError: the file is missing, is not a file, or may not be read; or see `decode_image`.
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
    out, plain = io.BytesIO(), Image.new("RGB", image.size)
    plain.paste(image)  # without what the picture says about itself
    plain.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _with_plain_profile(stripped: Stripped) -> Stripped:
    """A picture without a profile that changes nothing, and with its essence where that is enough."""
    profile = stripped.profile
    if profile is None:
        return stripped
    return replace(stripped, profile=None if is_srgb(profile) else plain_profile(profile) or profile)


def _is_plain(stripped: Stripped, format_: Format) -> bool:
    most = _THREAD_PROGRESSIVE_PIXELS if stripped.is_multi_scan else format_.thread_pixels
    is_small = stripped.size is not None and 0 < math.prod(stripped.size) <= most
    has_plain_colours = stripped.profile is None or plain_profile(stripped.profile) is not None
    return is_small and has_plain_colours and not stripped.is_cut and stripped.scans <= _THREAD_SCANS


def _open(stripped: Stripped, format_: Format) -> Opened:
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # its caller's thread: others would be counted by nobody
    try:
        if format_ is HEIC:
            return HeicFile(stripped.data)
        file = Image.open(io.BytesIO(stripped.data), formats=(format_.pillow,))
        return PillowFile(file, is_multi_scan=stripped.is_multi_scan)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageTooLargeError("The image has far too many pixels. Send a smaller copy.") from None
    except UnidentifiedImageError:
        raise UnreadableImageError(f"This image can't be read. Send a {ACCEPTED} file.") from None
    except _DECODER_ERRORS:
        raise UnreadableImageError(_DAMAGED_HEADER) from None


def _checked(file: Opened, limits: ImageLimits, side: int) -> Opened:
    """A file that the decoder will reduce, and that is within the limits by what it says itself."""
    _check_declared(file.declared, limits.max_pixels)
    file.reduce(side)
    _check_held(_held(file, side), math.prod(file.declared), file.kind, limits)
    return file


def _held(file: Opened, side: int) -> int:
    """What decoding holds in bytes, with the result."""
    return file.bytes_held() + math.prod(file.size) // _factor(file.size, side) ** 2 * BYTES_PER_PIXEL


def _check_declared(size: tuple[int, int], most: int) -> None:
    """Compare the pixels that the header declares with the limit of all formats."""
    if (declared := math.prod(size)) > most:
        raise ImageTooLargeError(
            f"The image has {_millions(declared)} million pixels; at most {_millions(most)} million are accepted. "
            "Send a smaller copy."
        )


def _check_held(held: float, pixels: int, kind: str, limits: ImageLimits) -> None:
    """Compare what the decoder will hold with the limit; `pixels` are those that must be decoded."""
    if held > limits.max_decoder_bytes:
        raise ImageTooLargeError(
            f"The image has {_millions(pixels)} million pixels to decode; a {kind} may have "
            f"{_millions(pixels * limits.max_decoder_bytes / held)} million. Send a smaller copy, or a plain JPEG."
        )


def _decode(file: Opened, profile: bytes | None, side: int) -> tuple[Image.Image, bytes | None]:
    """The picture in sRGB, and the EXIF that its decoder found."""
    try:
        file.load()
        if profile is None and (found := file.profile()) and not is_srgb(found):
            profile = found
        image = _reduced(file, side, keeps_mode=profile is not None)
        return (to_srgb(image, profile) if profile else image), file.exif()
    except _DECODER_ERRORS:
        raise UnreadableImageError(DAMAGED) from None
    finally:
        file.release()


def _decode_cut(stripped: Stripped, limits: ImageLimits, side: int) -> Image.Image:
    """The rows of a JPEG that are the same whatever followed where it was cut."""
    ends = [stripped.data.rstrip(b"\xff") + end + b"\xff\xd9" for end in _OTHER_ENDS]
    image, other = (
        _decode(_checked(_open(replace(stripped, data=data), JPEG), limits, side), stripped.profile, side)[0]
        for data in ends
    )
    differences = ImageChops.difference(image, other).convert("L").resize((1, image.height), Image.Resampling.BOX)
    rows = next((row for row, level in enumerate(differences.tobytes()) if level > _SAME_ROW), image.height)
    if rows < _LEAST_ROWS * image.height:
        raise UnreadableImageError(
            f"The image is cut short: {rows / image.height:.0%} of its rows can be decoded, and at least "
            f"{_LEAST_ROWS:.0%} are needed. Send it again, or choose another one."
        )
    return image.crop((0, 0, image.width, rows))


def _reduced(file: Opened, side: int, *, keeps_mode: bool) -> Image.Image:
    """A decoded picture in RGB, with at least `side` pixels on its shorter side; converted in strips.

    With `keeps_mode` grey and CMYK stay what they are, for a profile that describes them.
    """
    (width, height), factor = file.size, _factor(file.size, side)
    rows = max(1, _STRIP_PIXELS // (width * factor)) * factor
    strips = (
        _reduce(_opaque(file.strip(top, min(top + rows, height)), keeps_mode=keeps_mode), factor)
        for top in range(0, height, rows)
    )
    first = next(strips)
    if rows >= height:
        return first
    reduced = Image.new(first.mode, (-(-width // factor), -(-height // factor)))
    reduced.paste(first, (0, 0))
    for number, strip_ in enumerate(strips, 1):
        reduced.paste(strip_, (0, number * rows // factor))
    return reduced


def _factor(size: tuple[int, int], side: int) -> int:
    """By how much a picture is reduced: by the JPEG decoder's rule, and more if it is a very long panorama."""
    factor = next(factor for factor in (8, 4, 2, 1) if factor * side <= min(size) or factor == 1)
    while math.prod(size) > factor**2 * _MOST_RESULT_PIXELS and factor < min(size):
        factor *= 2
    return factor


def _reduce(image: Image.Image, factor: int) -> Image.Image:
    return image.reduce(factor) if factor > 1 else image


def _opaque(image: Image.Image, *, keeps_mode: bool) -> Image.Image:
    """Convert any mode to RGB: 16-bit grey is scaled rather than clipped, transparency is laid on white."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("L") if image.mode == "1" else image
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba)
        return white
    if keeps_mode and image.mode in ("L", "CMYK"):
        return image
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits as 8 bits, with a transparent grey of all 16 bits on white."""
    import numpy as np  # noqa: PLC0415 - few pictures need it

    deep = np.asarray(image, dtype=np.float32)
    grey = np.clip(deep / 257.0, 0, 255).astype(np.uint8)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[deep == clear] = 255
    return Image.fromarray(grey)


def _millions(count: float) -> str:
    return f"{count / 1e6:.3g}"

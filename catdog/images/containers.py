"""What a picture file holds beside its pixels, cut away before a decoder sees it. Only the orientation is read.

A decoder may spend minutes or gigabytes on what no person sees: Pillow copies the value of every EXIF entry, so that
64 kB of overlapping entries become 300 MB; it joins a GIF's comments in quadratic time, and looks at each byte of junk
between a JPEG's segments in Python. What is cut away cannot do that, and no more than `MAX_PIECES` are walked through.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from catdog.errors import UnreadableImageError
from catdog.images.colour import MAX_PROFILE_BYTES, png_profile
from catdog.images.formats import AVIF, BMP, GIF, HEIC, JPEG, PNG, WEBP, detect
from catdog.images.heif import Size, read_heif

MAX_PIECES = 10_000
"""Segments, chunks or blocks of one file. An encoder that writes 2 kB a piece fills 20 MB."""

MAX_SCANS = 100
"""Scans of one progressive JPEG: encoders write about ten, and each goes over the whole picture again."""

_ORIENTATION_TAG = 0x0112
_SHORT, _LONG = 3, 4
_TIFF_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_EXIF = b"Exif\0\0"

_SOS, _EOI, _APP1, _APP2 = 0xDA, 0xD9, 0xE1, 0xE2
_ICC = b"ICC_PROFILE\0"
_END_OF_IMAGE = b"\xff\xd9"
_FRAMES = frozenset((*range(0xC0, 0xD0),)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15, without three other markers
_SEQUENTIAL = (0xC0, 0xC1, 0xC9)
_ALONE = frozenset((0x00, 0x01, *range(0xD0, 0xD9)))  # no length follows
_SCAN_DATA = 0  # no marker: what follows the header of a scan
_KEPT_SEGMENTS = _FRAMES | {0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xE0, 0xEE, _EOI}  # tables, sizes, JFIF, Adobe's colours
_TOO_MANY = "The image is built of far too many parts. Save it again on your device, or choose another picture."
_MARKER = re.compile(rb"\xff+([^\xff])", re.DOTALL)
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)

_KEPT_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_COLOUR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
_PLAIN_BITMAPS = (0, 3, 6)  # uncompressed, with or without bit masks

_GIF_HEADER_BYTES = 13
_EXTENSION, _GRAPHIC_CONTROL, _PICTURE = 0x21, 0xF9, 0x2C
_WEBP_ANIMATION, _WEBP_ALPHA = 0x02, 0x10


@dataclass(frozen=True, slots=True)
class Stripped:
    """A picture file reduced to its image data."""

    data: bytes
    orientation: int | None
    """1 to 8 as in EXIF; None where the decoder tells."""
    is_multi_scan: bool = False
    """A JPEG that comes in several passes over the whole picture: its decoder must hold all of it at once."""
    scans: int = 1
    is_cut: bool = False
    """A JPEG without its end."""
    size: Size | None = None
    """Width and height as the header declares them, before the picture is turned; None if it doesn't tell."""
    pixels: int = 0
    """All that must be decoded, where that is more than the size tells."""
    profile: bytes | None = None
    """Its ICC profile; None is sRGB, or what the decoder finds."""


def strip(data: bytes) -> Stripped:
    """Cut away everything but image data; files of formats that need none of this come back unchanged.

    Raises:
        UnreadableImageError: the file is cut short, or has far more pieces than any encoder writes.
    """
    try:
        strippers = {JPEG: _strip_jpeg, PNG: _strip_png, GIF: _strip_gif, WEBP: _strip_webp, BMP: _check_bmp,
                     AVIF: _strip_heif, HEIC: _strip_heif}  # fmt: skip
        format_ = detect(data)
        return strippers[format_](data) if format_ else Stripped(data, None)
    except (IndexError, struct.error):
        raise UnreadableImageError(
            "The image is damaged or cut short. Open it on your device and save it again, or choose another one."
        ) from None


def exif_orientation(exif: bytes | None) -> int:
    """The orientation that EXIF data names, 1 to 8; 1, upright, if it names none. No other entry is read."""
    tiff = (exif or b"").removeprefix(_EXIF)
    order = _TIFF_ORDERS.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind, _ = struct.unpack_from(f"{order}HHI", tiff, at)
            if tag == _ORIENTATION_TAG and kind in (_SHORT, _LONG):
                (orientation,) = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), tiff, at + 8)
                return int(orientation)
    except struct.error:
        pass  # cut short: as good as none
    return 1


def _strip_jpeg(data: bytes) -> Stripped:
    """Keep tables and scans, up to the end of the first picture."""
    whole = memoryview(data)  # its parts are not copies
    kept, exif, components, scans = [whole[:2]], b"", 0, 0
    icc, size, ended = _Profile(), None, False
    for marker, start, end in _jpeg_segments(data):
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, start + 3)
            size = width, height
            components = data[start + 7] if marker in _SEQUENTIAL else 0
        if marker == _SOS:
            scans += 1
            if data[start + 2] == components:  # the only scan: the decoder stops at its end by itself
                cut = data.rfind(_END_OF_IMAGE, start) < 0
                stripped = b"".join([*kept, whole[start - 2 :]])
                return Stripped(stripped, exif_orientation(exif), is_cut=cut, size=size, profile=icc.joined())
        if marker in (_SOS, *_KEPT_SEGMENTS):
            kept.append(whole[start - 2 : end])
        elif marker == _SCAN_DATA:
            kept.append(whole[start:end])
        elif marker == _APP1 and data[start + 2 : start + 8] == _EXIF:
            exif = exif or data[start + 2 : end]
        elif marker == _APP2 and data.startswith(_ICC, start + 2):
            icc.add(data[start + 14 : end])
        ended = marker == _EOI
        if scans > MAX_SCANS:
            raise UnreadableImageError(_TOO_MANY)
    return Stripped(
        b"".join(kept), exif_orientation(exif), is_multi_scan=True, scans=scans, is_cut=scans > 0 and not ended,
        size=size, profile=icc.joined(),
    )  # fmt: skip


class _Profile:
    """A colour profile that comes in several segments, each with its number and how many there are."""

    def __init__(self) -> None:
        self._parts: dict[int, bytes] = {}

    def add(self, part: bytes) -> None:
        if len(part) > 2 and sum(map(len, self._parts.values())) <= MAX_PROFILE_BYTES:  # noqa: PLR2004
            self._parts.setdefault(part[0], part[2:])

    def joined(self) -> bytes | None:
        return b"".join(self._parts[number] for number in sorted(self._parts)) or None


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Each segment's marker, where what follows the marker begins, and where it ends."""
    at = 2
    for _ in range(MAX_PIECES):
        found = _MARKER.search(data, at)
        if found is None:
            return
        marker, at = found[1][0], found.end()
        if marker == _EOI:
            yield marker, at, at
            return
        if marker in _ALONE:
            continue
        end = at + max(2, struct.unpack_from(">H", data, at)[0])
        yield marker, at, end
        at = end
        if marker == _SOS:
            following = _AFTER_SCAN.search(data, at)
            end = following.start() if following else len(data)
            yield _SCAN_DATA, at, end
            at = end
    raise UnreadableImageError(_TOO_MANY)


def _strip_png(data: bytes) -> Stripped:
    """Keep palette and pixels, of an animation those of its still picture."""
    whole = memoryview(data)  # its parts are not copies
    kept, exif, at = [whole[:8]], b"", 8
    colours: dict[bytes, bytes] = {}
    size = struct.unpack_from(">II", data, 16)
    for _ in range(MAX_PIECES):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = whole[at : at + 12 + length]
        if kind in _KEPT_CHUNKS:
            kept.append(chunk)
        elif kind == b"eXIf":
            exif = exif or bytes(chunk[8:-4])
        elif kind in _COLOUR_CHUNKS:
            colours.setdefault(kind, bytes(chunk[8:-4]))
        at += len(chunk)
        if kind == b"IEND" or at == len(data):
            return Stripped(b"".join(kept), exif_orientation(exif), size=size, profile=png_profile(colours))
    raise UnreadableImageError(_TOO_MANY)


def _strip_gif(data: bytes) -> Stripped:
    """Keep the first picture, with what says which of its colours is transparent."""
    at = _GIF_HEADER_BYTES + (6 << (data[10] & 7) if data[10] & 0x80 else 0)
    kept = [data[:at]]
    for _ in range(MAX_PIECES):
        if data[at] != _EXTENSION:
            width, height = struct.unpack_from("<HH", data, 6)
            left, top, across, down = struct.unpack_from("<HHHH", data, at + 1)
            size = max(width, left + across), max(height, top + down)
            return Stripped(b"".join([*kept, data[at:]]), 1, size=size)
        end = _end_of_blocks(data, at + 2)
        if data[at + 1] == _GRAPHIC_CONTROL:
            kept = [kept[0], data[at:end]]
        at = end
    raise UnreadableImageError(_TOO_MANY)


def _end_of_blocks(data: bytes, at: int) -> int:
    """Where a list of blocks ends, each with its length before it and an empty one last."""
    for _ in range(MAX_PIECES):
        size = data[at]
        at += 1 + size
        if not size:
            return at
    raise UnreadableImageError(_TOO_MANY)


def _strip_webp(data: bytes) -> Stripped:
    """Nothing is cut away: its decoder skips what it doesn't know. An animation gets an alpha channel.

    Its first frame need not fill the canvas; without that channel the rest would be black.
    """
    size, profile, at = None, None, 12
    for _ in range(MAX_PIECES):
        if at + 8 > len(data):
            return Stripped(data, None, size=size, profile=profile)
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + min(length, 16)]
        if kind == b"VP8X":
            if body[0] & _WEBP_ANIMATION:
                data = data[: at + 8] + bytes([body[0] | _WEBP_ALPHA]) + data[at + 9 :]
            size = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
        elif kind == b"VP8 " and size is None:
            size = int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
        elif kind == b"VP8L" and size is None:
            bits = int.from_bytes(body[1:5], "little")
            size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif kind == b"ICCP" and length <= MAX_PROFILE_BYTES:
            profile = data[at + 8 : at + 8 + length]
        at += 8 + length + (length & 1)
    raise UnreadableImageError(_TOO_MANY)


def _check_bmp(data: bytes) -> Stripped:
    """Compressed bitmaps are refused, and those that declare more than the file holds: both may cost gigabytes."""
    (header,) = struct.unpack_from("<I", data, 14)
    if header == 12:  # noqa: PLR2004 - of OS/2
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    width, height = abs(width), abs(height)
    if compression not in _PLAIN_BITMAPS:
        raise UnreadableImageError("Compressed BMP files aren't accepted. Save the image as PNG and send that.")
    if (width * depth + 31) // 32 * 4 * height > len(data):
        raise struct.error
    return Stripped(data, None, size=(width, height))


def _strip_heif(data: bytes) -> Stripped:
    """The EXIF of AVIF and HEIC is hidden from the decoder; it counts only where the container doesn't decide."""
    header = read_heif(data)
    orientation = exif_orientation(header.exif) if header.exif else None
    return Stripped(data.replace(b"Exif", b"skip"), orientation, size=header.size, pixels=header.pixels)

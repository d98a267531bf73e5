"""Colours as a browser shows them: pictures that name a colour space are converted to sRGB.

Profiles that consist of a matrix and three curves, as phones and cameras write them, are written anew from their
checked parts before Little CMS reads them. Others, such as those of printers, are for `catdog.images.pool` alone.
"""

import functools
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from PIL import Image

if TYPE_CHECKING:
    from PIL import ImageCms

MAX_PROFILE_BYTES = 3_000_000
"""Larger ones are ignored; a printer's has about half of it."""
_KEPT_TRANSFORMS = 16

_HEADER_BYTES, _MAX_TAGS = 128, 100
_COLUMNS, _CURVES = (b"rXYZ", b"gXYZ", b"bXYZ"), (b"rTRC", b"gTRC", b"bTRC")
_MAX_CURVE_POINTS = 4096
_PARAMETERS = (1, 3, 4, 5, 7)  # of the types of parametric curves
_SPACES: Final = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_D50 = (0.9642, 1.0, 0.8249)
_SRGB = (0.4361, 0.2225, 0.0139, 0.3851, 0.7169, 0.0971, 0.1431, 0.0606, 0.7141)
_SRGB_MIDDLE, _NEAR_MATRIX, _NEAR_CURVE = 0.214, 0.003, 0.008
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_PRIMARIES = {  # by the numbers of ITU-T H.273: white, red, green, blue
    1: (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),
    9: (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}

Matrix = tuple[tuple[float, ...], ...]


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert a picture in RGB, grey or CMYK to sRGB. A profile that is broken or of another mode is ignored.

    Returns:
        A picture of mode RGB.
    """
    for mode in dict.fromkeys((image.mode, "RGB")):
        transform = _transform(profile, mode)
        if transform is not None:
            return transform.apply(image if image.mode == mode else image.convert(mode))
    return image if image.mode == "RGB" else image.convert("RGB")


def is_srgb(profile: bytes) -> bool:
    """Whether a profile changes nothing that a person or a network would notice."""
    tags = _tags(profile)
    curves = [tags[name] for name in (*_CURVES, b"kTRC") if name in tags]
    if not curves or b"A2B0" in tags or any(abs(_middle(curve) - _SRGB_MIDDLE) > _NEAR_CURVE for curve in curves):
        return False
    if profile[16:20] == b"GRAY":
        return True
    numbers = [value for name in _COLUMNS for value in _xyz(tags.get(name, b""))]
    return len(numbers) == len(_SRGB) and all(abs(a - b) < _NEAR_MATRIX for a, b in zip(numbers, _SRGB, strict=True))


def plain_profile(profile: bytes) -> bytes | None:
    """A small profile with the same matrix and curves and nothing else; None if it has none, or is broken."""
    tags = _tags(profile)
    if profile[16:20] != b"RGB " or b"A2B0" in tags:
        return None
    columns = [_xyz(tags.get(name, b"")) for name in _COLUMNS]
    curves = [_checked_curve(tags.get(name, b"")) for name in _CURVES]
    if not all(columns) or not all(curves):
        return None
    return _profile(columns, [curve or b"" for curve in curves])


def png_profile(chunks: Mapping[bytes, bytes]) -> bytes | None:
    """The colour space that a PNG's chunks name: cICP before iCCP, sRGB, and gAMA with cHRM. None is sRGB."""
    if len(cicp := chunks.get(b"cICP", b"")) == 4:  # noqa: PLR2004
        return cicp_profile(cicp[0], cicp[1])
    if b"iCCP" in chunks:
        _, _, packed = chunks[b"iCCP"].partition(b"\0")
        try:
            found = zlib.decompressobj().decompress(packed[1:], MAX_PROFILE_BYTES + 1)
        except zlib.error:
            return None
        return found if len(found) <= MAX_PROFILE_BYTES else None
    if b"sRGB" in chunks or len(chunks.get(b"gAMA", b"")) != 4:  # noqa: PLR2004
        return None
    gamma = struct.unpack(">I", chunks[b"gAMA"])[0] / 100_000
    corners = chunks.get(b"cHRM", b"")
    white = struct.unpack(">8I", corners) if len(corners) == 32 else ()  # noqa: PLR2004
    primaries = tuple(value / 100_000 for value in white) or _PRIMARIES[1]
    return matrix_profile(primaries, 1 / gamma) if 0.1 < gamma < 10 else None  # noqa: PLR2004


def cicp_profile(primaries: int, transfer: int) -> bytes | None:
    """The colour space with these numbers of ITU-T H.273; None for sRGB, and for those of high dynamic range."""
    corners = _PRIMARIES.get(primaries)
    if corners is None or transfer in (16, 18) or (primaries == 1 and transfer not in _GAMMAS):
        return None
    return matrix_profile(corners, _GAMMAS.get(transfer))


def matrix_profile(primaries: tuple[float, ...], gamma: float | None) -> bytes | None:
    """A profile of a display; None if its primaries make no colour space.

    Args:
        primaries: x and y of white, red, green and blue.
        gamma: Of its curve; None is sRGB's curve.
    """
    try:
        columns = _adapted(primaries)
    except ZeroDivisionError:
        return None
    if gamma is not None:
        curve = b"para" + struct.pack(">IHHi", 0, 0, 0, round(gamma * 65536))
    else:
        curve = b"para" + struct.pack(">IHH5i", 0, 3, 0, *(round(value * 65536) for value in _SRGB_CURVE))
    return _profile(columns, [curve] * 3)


class _Transform:
    """From one profile and mode to sRGB. Safe to use from many threads."""

    def __init__(self, transform: "ImageCms.ImageCmsTransform") -> None:
        self._transform = transform

    def apply(self, image: Image.Image) -> Image.Image:
        from PIL import ImageCms  # noqa: PLC0415

        found = ImageCms.applyTransform(image, self._transform)
        return found if found is not None else image.convert("RGB")


@functools.lru_cache(_KEPT_TRANSFORMS)
def _transform(profile: bytes, mode: str) -> _Transform | None:
    """How to convert; None if the profile can't be used for the mode."""
    import io  # noqa: PLC0415

    from PIL import ImageCms  # noqa: PLC0415 - most pictures need none

    if len(profile) > MAX_PROFILE_BYTES or _SPACES.get(profile[16:20].decode("latin-1")) != mode:
        return None
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        return _Transform(ImageCms.buildTransform(source, target, mode, "RGB"))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """The tagged elements of an ICC profile; those of a broken one that can be found."""
    count = int.from_bytes(profile[_HEADER_BYTES : _HEADER_BYTES + 4])
    found = {}
    for at in range(_HEADER_BYTES + 4, _HEADER_BYTES + 4 + 12 * min(count, _MAX_TAGS), 12):
        entry = profile[at : at + 12]
        if len(entry) < 12:  # noqa: PLR2004
            break
        name, offset, size = struct.unpack(">4sII", entry)
        found[name] = profile[offset : offset + size]
    return found


def _xyz(element: bytes) -> tuple[float, ...]:
    """Three numbers; none if it isn't an element of them."""
    if element[:4] != b"XYZ " or len(element) < 20:  # noqa: PLR2004
        return ()
    return tuple(value / 65536 for value in struct.unpack_from(">3i", element, 8))


def _checked_curve(element: bytes) -> bytes | None:
    """A curve without what may follow it; None if it is broken."""
    kind, size = element[:4], len(element)
    if kind == b"curv" and size >= 12:  # noqa: PLR2004
        points = int.from_bytes(element[8:12])
        end = 12 + 2 * points
        return element[:end] if points <= _MAX_CURVE_POINTS and size >= end else None
    if kind == b"para" and size >= 12:  # noqa: PLR2004
        number = int.from_bytes(element[8:10])
        end = 12 + 4 * _PARAMETERS[number] if number < len(_PARAMETERS) else size + 1
        return element[:end] if size >= end else None
    return None


def _middle(element: bytes) -> float:
    """What a curve makes of one half; -1 if it can't be told."""
    curve = _checked_curve(element)
    if curve is None:
        return -1.0
    if curve[:4] == b"curv":
        points = int.from_bytes(curve[8:12])
        if points == 0:
            return 0.5
        if points == 1:
            return float(0.5 ** (int.from_bytes(curve[12:14]) / 256))
        return int.from_bytes(curve[12 + points // 2 * 2 : 14 + points // 2 * 2]) / 65535
    number = int.from_bytes(curve[8:10])
    g, *rest = (value / 65536 for value in struct.unpack(f">{_PARAMETERS[number]}i", curve[12:]))
    a, b = (rest[0], rest[1]) if number else (1.0, 0.0)
    return float(max(0.0, a * 0.5 + b) ** g) if 0 < g < 10 else -1.0  # noqa: PLR2004


def _profile(columns: Iterable[tuple[float, ...]], curves: Iterable[bytes]) -> bytes:
    """An ICC profile of version 4 from a matrix and three curves."""
    elements = {b"wtpt": _element(_D50)}
    elements |= zip(_COLUMNS, map(_element, columns), strict=True)
    elements |= zip(_CURVES, curves, strict=True)
    body, table, at = b"", b"", _HEADER_BYTES + 4 + 12 * len(elements)
    for name, element in elements.items():
        table += struct.pack(">4sII", name, at + len(body), len(element))
        body += element + bytes(-len(element) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + _element(_D50)[8:]
    return head.ljust(_HEADER_BYTES, b"\0") + struct.pack(">I", len(elements)) + table + body


def _element(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + struct.pack(">I3i", 0, *(max(-(2**31), min(2**31 - 1, round(65536 * v))) for v in values))


def _adapted(primaries: tuple[float, ...]) -> list[tuple[float, ...]]:
    """XYZ of red, green and blue, adapted to the white of profiles (Bradford's method)."""
    xyz = [(x / y, 1.0, (1 - x - y) / y) for x, y in zip(primaries[::2], primaries[1::2], strict=True)]
    white, corners = xyz[0], tuple(zip(*xyz[1:], strict=True))
    amounts = _times(_inverse(corners), white)
    cone_from, cone_to = _times(_BRADFORD, white), _times(_BRADFORD, _D50)
    ratio = [b / a for a, b in zip(cone_from, cone_to, strict=True)]
    columns = []
    for corner, amount in zip(xyz[1:], amounts, strict=True):
        cones = _times(_BRADFORD, tuple(amount * value for value in corner))
        columns.append(_times(_inverse(_BRADFORD), tuple(c * r for c, r in zip(cones, ratio, strict=True))))
    return columns


def _times(matrix: Matrix, vector: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)


def _inverse(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    minors = ((e * i - f * h, c * h - b * i, b * f - c * e), (f * g - d * i, a * i - c * g, c * d - a * f),
              (d * h - e * g, b * g - a * h, a * e - b * d))  # fmt: skip
    determinant = a * minors[0][0] + b * minors[1][0] + c * minors[2][0]
    return tuple(tuple(value / determinant for value in row) for row in minors)

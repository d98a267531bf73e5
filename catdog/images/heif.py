"""The header of HEIC and AVIF files (ISO/IEC 23008-12): what decoding one will cost, and which way is up.

A decoder believes such a file: a grid may name the same tile a thousand times, and the size that the file declares
need not be that of its coded picture. Both are counted here, before a decoder sees the file.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from catdog.errors import UnreadableImageError

_MAX_BOXES = 5_000
_MAX_ITEMS = 2_000
_DEPTH = 4  # of pictures made of pictures
_SLACK = 64  # coded sizes are rounded up to blocks
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
_EXIF_OFFSET_BYTES = 4
_MAX_EXIF_BYTES = 1_000_000
_DERIVED = (b"grid", b"iovl", b"iden")
_LIES = "The image's parts don't have the size that its header declares. Save it again on your device."

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class HeifHeader:
    """What the header of a HEIC or AVIF file says."""

    size: Size | None
    """Of the picture that is shown, before it is turned; None if the header doesn't tell, as in animations."""
    pixels: int
    """All that must be decoded for it, tiles and transparency included."""
    exif: bytes | None
    """EXIF data that decides the orientation; None where the container decides, or there is none."""


@dataclass(slots=True)
class _Items:
    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    places: dict[int, tuple[int, list[tuple[int, int]]]] = field(default_factory=dict)
    """Construction method, and offsets with lengths."""
    references: list[tuple[bytes, int, tuple[int, ...]]] = field(default_factory=list)
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    has: dict[int, list[int]] = field(default_factory=dict)
    """Of each item the properties, counted from 1."""
    data: bytes = b""
    """The box `idat`."""

    def properties_of(self, item: int) -> Iterator[tuple[bytes, bytes]]:
        for number in self.has.get(item, ()):
            if 0 < number <= len(self.properties):
                yield self.properties[number - 1]

    def size(self, item: int) -> Size | None:
        for kind, body in self.properties_of(item):
            if kind == b"ispe" and len(body) >= 12:  # noqa: PLR2004
                return struct.unpack_from(">II", body, 4)
        return None

    def parts(self, item: int) -> Iterator[int]:
        """The items that one is made of, each as often as it is named."""
        for kind, source, targets in self.references:
            if kind == b"dimg" and source == item:
                yield from targets


def read_heif(data: bytes) -> HeifHeader:
    """Read the header of a HEIC or AVIF file.

    Raises:
        UnreadableImageError: it has far too many parts, or they are larger than it declares.
        IndexError, struct.error: it is damaged.
    """
    brands = data[8 : int.from_bytes(data[:4])]
    meta = next((body for kind, body in _boxes(data) if kind == b"meta"), None)
    if meta is None:
        return HeifHeader(None, 0, None)
    items = _read_items(meta[4:])
    for item in list(items.kinds):
        _require_honest(items, item, data)
    decides = any(kind in (b"irot", b"imir") for kind, _ in items.properties_of(items.primary))
    exif = None if decides or b"miaf" in brands else _exif(items, data)
    return HeifHeader(items.size(items.primary), _pixels(items), exif)


def _read_items(meta: bytes) -> _Items:
    items = _Items()
    for kind, body in _boxes(meta):
        if kind == b"pitm":
            items.primary = int.from_bytes(body[4:6] if not body[0] else body[4:8])
        elif kind == b"iinf":
            _read_kinds(items, body)
        elif kind == b"iloc":
            _read_places(items, body)
        elif kind == b"iref":
            _read_references(items, body)
        elif kind == b"iprp":
            _read_properties(items, body)
        elif kind == b"idat":
            items.data = body
    if max(len(items.kinds), len(items.properties)) > _MAX_ITEMS:
        raise UnreadableImageError("The image is built of far too many parts. Save it again on your device.")
    return items


def _read_kinds(items: _Items, body: bytes) -> None:
    for kind, entry in _boxes(body[6 if not body[0] else 8 :]):
        if kind == b"infe" and entry[0] >= 2:  # noqa: PLR2004
            wide = entry[0] > 2  # noqa: PLR2004
            number = int.from_bytes(entry[4:8] if wide else entry[4:6])
            items.kinds[number] = entry[10:14] if wide else entry[8:12]


def _read_places(items: _Items, body: bytes) -> None:
    version = body[0]
    offset_bytes, length_bytes = body[4] >> 4, body[4] & 15
    base_bytes, index_bytes = body[5] >> 4, body[5] & 15 if version else 0
    reader = _Bytes(body, 6)
    for _ in range(reader.number(2 if version < 2 else 4)):  # noqa: PLR2004
        item = reader.number(2 if version < 2 else 4)  # noqa: PLR2004
        method = reader.number(2) & 15 if version else 0
        reader.number(2)
        base, extents = reader.number(base_bytes), []
        for _ in range(reader.number(2)):
            reader.number(index_bytes)
            extents.append((base + reader.number(offset_bytes), reader.number(length_bytes)))
        items.places[item] = method, extents


def _read_references(items: _Items, body: bytes) -> None:
    wide = 4 if body[0] else 2
    for kind, entry in _boxes(body[4:]):
        reader = _Bytes(entry, 0)
        source, count = reader.number(wide), reader.number(2)
        items.references.append((kind, source, tuple(reader.number(wide) for _ in range(count))))


def _read_properties(items: _Items, body: bytes) -> None:
    for kind, inner in _boxes(body):
        if kind == b"ipco":
            items.properties = list(_boxes(inner))
        elif kind == b"ipma":
            wide_items, wide_numbers = 4 if inner[0] else 2, 2 if inner[3] & 1 else 1
            reader = _Bytes(inner, 4)
            for _ in range(reader.number(4)):
                item = reader.number(wide_items)
                mask = 0x7FFF if wide_numbers > 1 else 0x7F
                numbers = [reader.number(wide_numbers) & mask for _ in range(reader.number(1))]
                items.has.setdefault(item, []).extend(numbers)


def _pixels(items: _Items) -> int:
    """What the primary picture costs, with its transparency."""
    shown = [items.primary]
    for kind, source, targets in items.references:
        if kind == b"auxl" and items.primary in targets and _is_alpha(items, source):
            shown.append(source)
    known: dict[int, int] = {}
    return sum(_cost(items, item, known, _DEPTH) for item in shown)


def _cost(items: _Items, item: int, known: dict[int, int], depth: int) -> int:
    """Pixels of an item and of all that it is made of, as often as it names them."""
    if item not in known:
        width, height = items.size(item) or (0, 0)
        parts = list(items.parts(item)) if items.kinds.get(item) in _DERIVED else []
        if parts and not depth:
            raise UnreadableImageError("The image is built of far too many parts. Save it again on your device.")
        known[item] = width * height + sum(_cost(items, part, known, depth - 1) for part in parts)
    return known[item]


def _is_alpha(items: _Items, item: int) -> bool:
    return any(kind == b"auxC" and body[4:].startswith(_ALPHA) for kind, body in items.properties_of(item))


def _require_honest(items: _Items, item: int, data: bytes) -> None:
    """Compare the size that an item declares with that of its coded picture, where this can be read.

    Raises:
        UnreadableImageError: the coded picture is larger.
    """
    declared = items.size(item)
    if declared is None:
        return
    for kind, body in items.properties_of(item):
        coded = None
        if kind == b"av1C":
            coded = av1_size(body[4:]) or av1_size(_content(items, item, data, 4_096))
        elif kind == b"hvcC":
            coded = hevc_size(body)
        if coded and (coded[0] > declared[0] + _SLACK or coded[1] > declared[1] + _SLACK):
            raise UnreadableImageError(_LIES)


def _exif(items: _Items, data: bytes) -> bytes | None:
    for item, kind in items.kinds.items():
        if kind == b"Exif":
            content = _content(items, item, data, _MAX_EXIF_BYTES)
            start = _EXIF_OFFSET_BYTES + int.from_bytes(content[:_EXIF_OFFSET_BYTES])
            return content[start:] or content[_EXIF_OFFSET_BYTES:]
    return None


def _content(items: _Items, item: int, data: bytes, most: int) -> bytes:
    """The first bytes of an item."""
    method, extents = items.places.get(item, (0, []))
    source = data if method == 0 else items.data
    found = b""
    for offset, length in extents:
        found += source[offset : offset + (length or most)][: most - len(found)]
        if len(found) >= most:
            break
    return found


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kinds and contents of boxes, one after another."""
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 8 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        end = at + size if size else len(data)
        if end < at + head:
            return
        yield kind, data[at + head : end] if kind != b"mdat" else b""
        at = end
    raise UnreadableImageError("The image is built of far too many parts. Save it again on your device.")


class _Bytes:
    """Reads numbers of whole bytes."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def number(self, size: int) -> int:
        start, self._at = self._at, self._at + size
        if self._at > len(self._data):
            raise IndexError("cut short")
        return int.from_bytes(self._data[start : self._at])


class _Bits:
    """Reads numbers of any bits."""

    def __init__(self, data: bytes) -> None:
        self._bits, self._left = int.from_bytes(data), 8 * len(data)

    def number(self, bits: int) -> int:
        self._left -= bits
        if self._left < 0:
            raise IndexError("cut short")
        return self._bits >> self._left & ((1 << bits) - 1)

    def golomb(self) -> int:
        """An exponential-Golomb code, as HEVC writes its numbers."""
        zeros = 0
        while not self.number(1):
            zeros += 1
        return (1 << zeros) - 1 + self.number(zeros)

    def uvlc(self) -> int:
        """The same in AV1."""
        return self.golomb()


def av1_size(units: bytes) -> Size | None:
    """The largest frame that the first AV1 sequence header allows (AV1 specification, 5.5); None if there is none."""
    at = 0
    while at < len(units):
        kind, has_size, has_extension = units[at] >> 3 & 15, units[at] & 2, units[at] & 4
        at += 2 if has_extension else 1
        length, shift = 0, 0
        while has_size:
            if at >= len(units):
                return None
            byte = units[at]
            length, shift, at = length | (byte & 127) << shift, shift + 7, at + 1
            if byte < 128:  # noqa: PLR2004 - the last byte of a length
                break
        end = at + length if has_size else len(units)
        if kind == 1:
            try:
                return _av1_sequence(_Bits(units[at : min(end, at + 256)]))
            except IndexError:
                return None
        at = end
    return None


def _av1_sequence(bits: _Bits) -> Size:
    bits.number(4)  # profile, still picture
    if bits.number(1):  # reduced header
        bits.number(5)
    else:
        _skip_av1_points(bits)
    width_bits, height_bits = bits.number(4) + 1, bits.number(4) + 1
    return bits.number(width_bits) + 1, bits.number(height_bits) + 1


def _skip_av1_points(bits: _Bits) -> None:
    """Timing and operating points, which come before the size."""
    has_decoder_model, delay_bits = 0, 0
    if bits.number(1):
        bits.number(64)
        if bits.number(1):
            bits.uvlc()
        if has_decoder_model := bits.number(1):
            delay_bits = bits.number(5) + 1
            bits.number(32 + 10)
    has_display_delay = bits.number(1)
    for _ in range(bits.number(5) + 1):
        bits.number(12)
        if bits.number(5) > 7:  # noqa: PLR2004
            bits.number(1)
        if has_decoder_model and bits.number(1):
            bits.number(2 * delay_bits + 1)
        if has_display_delay and bits.number(1):
            bits.number(4)


def hevc_size(configuration: bytes) -> Size | None:
    """The coded size in the parameter sets of an `hvcC` property (HEVC specification, 7.3.2.2); None if not found."""
    try:
        at = 23
        for _ in range(configuration[22]):
            kind, count, at = configuration[at] & 63, int.from_bytes(configuration[at + 1 : at + 3]), at + 3
            for _ in range(count):
                length = int.from_bytes(configuration[at : at + 2])
                unit, at = configuration[at + 2 : at + 2 + length], at + 2 + length
                if kind == 33:  # noqa: PLR2004 - a sequence parameter set
                    return _hevc_sequence(_Bits(unit[2:].replace(b"\0\0\3", b"\0\0")))
    except IndexError:
        pass
    return None


def _hevc_sequence(bits: _Bits) -> Size:
    bits.number(4)
    layers = bits.number(3)
    bits.number(1 + 88 + 8)  # profile, tier and level
    present = [(bits.number(1), bits.number(1)) for _ in range(layers)]
    if layers:
        bits.number(2 * (8 - layers))
    for profile, level in present:
        bits.number(88 * profile + 8 * level)
    bits.golomb()
    if bits.golomb() == 3:  # noqa: PLR2004 - 4:4:4
        bits.number(1)
    return bits.golomb(), bits.golomb()

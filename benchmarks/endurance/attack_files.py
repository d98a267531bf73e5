"""Hostile files, made by code: each kind is one way in which a small file can cost a server much.

A kind is a name and its files; siblings of one kind try the same trick in other formats and other fields.
"""

import functools
import io
import struct
import zlib
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

Files = Mapping[str, bytes]


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    """A picture as a file."""
    out = io.BytesIO()
    image.save(out, format_, **options)
    return out.getvalue()


def _heif(image: Image.Image, **options: object) -> bytes:
    import pillow_heif  # noqa: PLC0415 - large

    pillow_heif.register_heif_opener()
    return encoded(image, "HEIF", **options)


def _box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _find(data: bytes, *path: bytes) -> bytes:
    """The content of a box, by its path; `meta` has four bytes before its boxes."""
    for kind in path:
        start = data.index(kind) - 4
        size = struct.unpack(">I", data[start : start + 4])[0]
        data = data[start + 8 : start + size]
    return data


def grid(tile: bytes, side: int, output: int, *, codec: bytes = b"hvc1", config: bytes = b"hvcC") -> bytes:
    """A HEIC or AVIF of `side` x `side` references to one tile: the file is as small as the tile.

    Args:
        tile: A file that holds one picture.
        side: References in each row and column.
        output: Pixels that the grid declares on each side.
        codec: The type of the tile's item.
        config: The box with the codec's configuration.
    """
    coded, settings = _find(tile, b"mdat"), _find(tile, config)
    count = side * side
    layout = bytes([0, 1, side - 1, side - 1]) + struct.pack(">II", output, output)
    full = b"\0\0\0\0"
    items = [
        _box(b"infe", b"\2\0\0\0", struct.pack(">HH", n, 0), kind, b"\0") for n, kind in ((1, b"grid"), (2, codec))
    ]
    references = _box(b"dimg", struct.pack(">HH", 1, count), struct.pack(">H", 2) * count)
    sizes = [_box(b"ispe", full, struct.pack(">II", *size)) for size in ((output, output), _size_of(tile))]
    properties = _box(b"ipco", *sizes, _box(config, settings))
    links = full + struct.pack(">I", 2) + struct.pack(">HBB", 1, 1, 0x81) + struct.pack(">HBBB", 2, 2, 0x82, 0x83)
    brand = b"avif" if codec == b"av01" else b"heic"
    head = _box(b"ftyp", brand, b"\0\0\0\0", b"mif1", brand)

    def meta(tile_at: int, layout_at: int) -> bytes:
        parts = ((1, layout_at, len(layout)), (2, tile_at, len(coded)))
        places = b"".join(struct.pack(">HHHII", n, 0, 1, start, size) for n, start, size in parts)
        return _box(
            b"meta", full,
            _box(b"hdlr", full, b"\0\0\0\0pict", bytes(13)),
            _box(b"pitm", full, struct.pack(">H", 1)),
            _box(b"iloc", full, b"\x44\x00", struct.pack(">H", 2), places),
            _box(b"iinf", full, struct.pack(">H", 2), *items),
            _box(b"iref", full, references),
            _box(b"iprp", properties, _box(b"ipma", links)),
        )  # fmt: skip

    at = len(head) + len(meta(0, 0)) + 8
    return head + meta(at + len(layout), at) + _box(b"mdat", layout, coded)


def _size_of(file: bytes) -> tuple[int, int]:
    place = file.index(b"ispe") + 8
    width, height = struct.unpack(">II", file[place : place + 8])
    return width, height


@functools.cache
def grids() -> Files:
    """Tiles that are decoded again for every reference."""
    large = _heif(Image.new("RGB", (4096, 4096), "red"), quality=30)
    small = _heif(Image.new("RGB", (256, 256), "red"), quality=30)
    avif = encoded(Image.new("RGB", (1024, 1024), "red"), "AVIF", quality=30, speed=10)
    return {
        "HEIC 31 x 31 of 4096": grid(large, 31, 7000),
        "HEIC 16 x 16 of 4096, output 64": grid(large, 16, 64),
        "HEIC 256 x 256 of 256": grid(small, 255, 7000),
        "HEIC 8 x 8 of 4096, output 32768": grid(large, 8, 32768),
        "HEIC 2 x 2 of 4096": grid(large, 2, 4096),
        "AVIF 31 x 31 of 1024": grid(avif, 31, 7000, codec=b"av01", config=b"av1C"),
    }


def bitmap(width: int, height: int, compression: int, data: bytes, *, bits: int = 8) -> bytes:
    """A BMP whose header may say anything."""
    palette = bytes(4 * (1 << min(bits, 8)))
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, 0, 0)
    offset = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + header + palette + data


def bitmaps() -> Files:
    """Runs and jumps that make rows out of nothing."""
    jumps, run = b"\0\2\xff\xff" * 200 + b"\0\1", b"\xff\1" * 400 + b"\0\1"
    return {
        "RLE8 jumps, 4,000,000 wide": bitmap(4_000_000, 15, 1, jumps),
        "RLE8 runs, 2,000,000 wide": bitmap(2_000_000, 30, 1, run),
        "RLE4 jumps": bitmap(4_000_000, 15, 2, jumps, bits=4),
        "RLE8 60,000 high": bitmap(1000, 60_000, 1, jumps),
        "RLE8 top down": bitmap(4_000_000, -15, 1, jumps),
        "raw, without its rows": bitmap(60_000, 60_000, 0, b"", bits=24),
        "bit fields": bitmap(8000, 8000, 3, bytes(12), bits=32),
    }


def liars() -> Files:
    """Containers that declare less than what their codec decodes."""
    wide = Image.new("RGB", (4500, 4500), "red")
    avif, heic = encoded(wide, "AVIF", quality=20, speed=10), _heif(wide, quality=20)
    webp = encoded(Image.new("RGBA", (3000, 3000), (255, 0, 0, 128)), "WEBP", quality=1, method=0)
    jpeg = bytearray(encoded(wide, "JPEG", quality=20))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
    gif = bytearray(encoded(Image.new("P", (4000, 4000)), "GIF"))
    gif[6:10] = struct.pack("<HH", 16, 16)
    return {
        "AVIF, ispe 64": _with_size(avif, 64, 64),
        "HEIC, ispe 64": _with_size(heic, 64, 64),
        "AVIF, ispe 60000": _with_size(avif, 60_000, 60_000),
        "WebP, canvas 16": webp.replace(webp[24:30], b"\x0f\0\0\x0f\0\0", 1) if webp[12:16] == b"VP8X" else webp,
        "JPEG of 65000 without its data": bytes(jpeg),
        "GIF, screen 16, frame 4000": bytes(gif),
        "PNG, header 30000": png(30_000, 30_000, zlib.compress(bytes(100_000))),
    }


def _with_size(file: bytes, width: int, height: int) -> bytes:
    place = file.index(b"ispe") + 8
    return file[:place] + struct.pack(">II", width, height) + file[place + 8 :]


def png(width: int, height: int, data: bytes, *extra: bytes, colour: int = 2, interlaced: bool = False) -> bytes:
    """A PNG by its parts."""
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bombs() -> Files:
    """Much that is compressed into little, beside the pixels or as pixels."""
    zeros = zlib.compress(bytes(200_000_000), 9)
    small = zlib.compress(bytes(8 * 25))
    frames = [Image.new("P", (1500, 1500), n % 255) for n in range(200)]
    return {
        "PNG zTXt of 200 MB": png(8, 8, small, chunk(b"zTXt", b"a\0\0" + zeros)),
        "PNG iTXt of 200 MB": png(8, 8, small, chunk(b"iTXt", b"a\0\1\0\0\0" + zeros)),
        "PNG profile of 200 MB": png(8, 8, small, chunk(b"iCCP", b"a\0\0" + zeros)),
        "PNG pixels of 200 MB": png(8, 8, zeros),
        "PNG 100,000 chunks": png(8, 8, small, chunk(b"tEXt", b"a\0b") * 100_000),
        "GIF of 200 frames": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "PNG giant": png(2**31 - 1, 2**31 - 1, small),
    }


@functools.cache
def legal() -> Files:
    """Honest pictures that cost as much as the limits allow."""
    flat = Image.new("RGB", (4000, 3990), "red")
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8))
    detailed = coarse.resize((4000, 3990), Image.Resampling.BILINEAR)
    return {
        "PNG flat": encoded(flat, "PNG"),
        "PNG detailed": encoded(detailed, "PNG", compress_level=1),
        "JPEG progressive": encoded(detailed, "JPEG", progressive=True, quality=95, subsampling=0),
        "WebP lossless": encoded(flat.resize((2450, 2450)), "WEBP", lossless=True, method=0),
        "GIF": encoded(flat.quantize(4), "GIF"),
        "HEIC of 48 megapixels": _heif(coarse.resize((8064, 6048)), quality=40, enc_params={"preset": "ultrafast"}),
        "AVIF of 16 megapixels": encoded(flat, "AVIF", quality=40, speed=10),
    }


def damaged() -> Files:
    """Files that end early or hold rubbish where the codec's data should be."""
    rng = np.random.default_rng(1)
    photo = Image.fromarray(rng.integers(0, 255, (300, 300, 3), dtype=np.uint8)).resize((3000, 3000))
    whole = {"JPEG": encoded(photo, "JPEG"), "PNG": encoded(photo, "PNG", compress_level=1),
             "WebP": encoded(photo.resize((2000, 2000)), "WEBP", method=0),
             "GIF": encoded(photo.quantize(16), "GIF"), "AVIF": encoded(photo, "AVIF", speed=10),
             "HEIC": _heif(photo, quality=40)}  # fmt: skip
    cut = {f"{name} cut": data[: len(data) // 2] for name, data in whole.items()}
    return cut | {f"{name} with noise": _with_noise(data) for name, data in whole.items()}


def _with_noise(data: bytes) -> bytes:
    third = len(data) // 3
    noise = np.random.default_rng(2).integers(0, 255, third, dtype=np.uint8).tobytes()
    return data[:third] + noise + data[2 * third :]


FILES: Mapping[str, Callable[[], Files]] = {
    "tiles that repeat": grids,
    "bitmaps with runs": bitmaps,
    "sizes that lie": liars,
    "bombs": bombs,
    "legal and large": legal,
    "damaged": damaged,
}
"""Every kind of hostile file."""

"""Files that cost a decoder far more than their pixels: each is refused or decoded within what its pixels cost."""

import io
import re
import struct
import time
import tracemalloc
import zlib

import pillow_heif
import pytest
from PIL import Image

from catdog.errors import ImageError, ImageTooLargeError, UnreadableImageError
from catdog.images.containers import MAX_PIECES, MAX_SCANS, exif_orientation, strip
from catdog.images.decode import ImageLimits, decode_image, open_image, to_jpeg
from catdog.images.formats import AVIF, FORMATS, HEIC, detect
from tests.toy import encoded, picture

RED = picture("red")
FORMAT_NAMES = {each.pillow: each.name for each in FORMATS}
SLOWEST_S = 2.0
MOST_BYTES = 60_000_000


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def exif_bomb(entries: int, value_bytes: int) -> bytes:
    """EXIF whose entries all claim the same long value as theirs; a decoder that copies each runs out of memory."""
    listed = b"".join(struct.pack("<HHII", 1 + n, 7, value_bytes, 8) for n in range(entries))
    return b"Exif\0\0" + b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + listed + bytes(value_bytes)


def in_jpeg(*extra: bytes) -> bytes:
    data = encoded(RED)
    return data[:2] + b"".join(extra) + data[2:]


def in_png(*extra: bytes) -> bytes:
    data = encoded(RED, "PNG")
    return data[:33] + b"".join(extra) + data[33:]


def in_gif(extra: bytes) -> bytes:
    data = encoded(RED, "GIF")
    start = 13 + (6 << (data[10] & 7) if data[10] & 0x80 else 0)
    return data[:start] + extra + data[start:]


def gif_comment(size: int) -> bytes:
    return b"\x21\xfe" + (b"\xff" + b"c" * 255) * (size // 256) + b"\0"


BOMBS = {
    "EXIF in JPEG": lambda: in_jpeg(segment(0xE1, exif_bomb(2_500, 30_000)[:65_000])),
    "EXIF in several JPEG segments": lambda: in_jpeg(*(segment(0xE1, exif_bomb(2_500, 30_000)[:65_000]) for _ in range(9))),
    "many pictures in a JPEG": lambda: in_jpeg(segment(0xE2, b"MPF\0" + exif_bomb(2_500, 30_000)[6:64_000])),
    "EXIF in PNG": lambda: in_png(chunk(b"eXIf", exif_bomb(20_000, 1_000_000)[6:])),
    "EXIF in WebP": lambda: encoded(RED, "WEBP", exif=exif_bomb(20_000, 1_000_000)[6:]),
    "EXIF in HEIC": lambda: encoded(RED, "HEIF", exif=exif_bomb(20_000, 1_000_000)),
    "junk in JPEG": lambda: in_jpeg(segment(0xFE, b"c"), bytes(10_000_000)),
    "fill bytes in JPEG": lambda: in_jpeg(b"\xff" * 10_000_000),
    "tiny JPEG segments": lambda: in_jpeg(b"\xff\xfe\x00\x02" * 1_000_000),
    "tiny PNG chunks": lambda: in_png(chunk(b"tEXt", b"") * 500_000),
    "text that unpacks in PNG": lambda: in_png(*[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(60_000_000)))] * 20),
    "colour profile that unpacks in PNG": lambda: in_png(chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100_000_000)))),
    "comment in GIF": lambda: in_gif(gif_comment(2_000_000)),
    "tiny GIF extensions": lambda: in_gif(b"\x21\xfe\x01c\0" * 1_000_000),
    "tiny GIF blocks": lambda: in_gif(b"\x21\xfe" + b"\x01c" * 2_000_000 + b"\0"),
}  # fmt: skip


def outcome(data: bytes) -> str:
    try:
        decode_image(data)
    except UnreadableImageError as error:
        return "too many parts" if "too many parts" in str(error) else str(error)
    return "a picture"


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_no_picture_costs_nothing(name: str) -> None:
    pillow_heif.register_heif_opener()
    data = BOMBS[name]()
    tracemalloc.start()
    try:
        started = time.process_time()
        assert outcome(data) in ("a picture", "too many parts")
        assert time.process_time() - started < SLOWEST_S
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


def test_exif_in_avif_is_not_read() -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret"
    data = encoded(RED, "AVIF", exif=exif.tobytes())
    assert b"Exif" in data
    assert b"Exif" not in strip(data).data
    assert decode_image(data).size == RED.size


def progressive(repeats: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    data = encoded(picture("blue", (64, 64)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * repeats + b"\xff\xd9"


def test_a_jpeg_of_very_many_scans_is_refused_before_its_pixels_are_decoded() -> None:
    assert decode_image(progressive(5)).size == (64, 64)
    with pytest.raises(UnreadableImageError, match="too many parts"):
        decode_image(progressive(MAX_SCANS))


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0, "progressive": True}])
def test_a_jpeg_that_is_decoded_as_a_whole_counts_all_its_pixels(options: dict[str, object]) -> None:
    limits = ImageLimits(max_decoded_pixels=1_300_000)
    large = picture("red", (2100, 2000))
    assert decode_image(encoded(large), limits=limits).size == (1050, 1000)
    with pytest.raises(ImageTooLargeError, match=r"a progressive JPEG may have 3\.\d+ million"):
        decode_image(encoded(large, **options), limits=limits)


@pytest.mark.parametrize("format_", ["WEBP", "AVIF"])
def test_a_picture_counts_with_all_that_its_decoder_holds(format_: str) -> None:
    limits = ImageLimits(max_decoded_pixels=550_000)
    assert decode_image(encoded(picture("red", (500, 500)), "PNG"), limits=limits).size == (500, 500)
    assert decode_image(encoded(picture("red", (500, 500)), format_), limits=limits).size == (500, 500)
    assert decode_image(encoded(picture("red", (900, 900)), "PNG"), limits=limits).size == (900, 900)
    with pytest.raises(ImageTooLargeError, match=rf"a {FORMAT_NAMES[format_]} may have 0\.[3-7]\d+ million"):
        decode_image(encoded(picture("red", (900, 900)), format_), limits=limits)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_the_orientation_is_found_in_either_byte_order(order: str, prefix: bytes) -> None:
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    other, wanted = struct.pack(f"{order}HHII", 0x010F, 2, 4, 0), struct.pack(f"{order}HHIHH", 0x0112, 3, 1, 6, 0)
    assert exif_orientation(prefix + start + struct.pack(f"{order}H", 2) + other + wanted) == 6
    assert exif_orientation(prefix + start + struct.pack(f"{order}H", 1) + other) == 1


@pytest.mark.parametrize(
    "exif", [None, b"", b"Exif\0\0", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_exif_that_is_cut_short_means_upright(exif: bytes | None) -> None:
    assert exif_orientation(exif) == 1


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF"])
def test_nothing_but_the_picture_reaches_the_decoder(format_: str) -> None:
    pieces = {
        "JPEG": in_jpeg(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0secret"), segment(0xFE, b"secret")),
        "PNG": in_png(chunk(b"tEXt", b"a\0secret")) + b"secret",
        "GIF": in_gif(b"\x21\xfe\x06secret\0"),
    }
    data = pieces[format_]
    assert b"secret" in data
    assert b"secret" not in strip(data).data
    assert decode_image(data).tobytes() == decode_image(encoded(RED, format_)).tobytes()


POLYGLOTS = {
    "JPEG and HTML": lambda: in_jpeg(segment(0xFE, b"<script>alert(1)</script>")) + b"<script>alert(1)</script>",
    "JPEG and ZIP": lambda: encoded(RED) + b"PK\x05\x06" + bytes(18),
    "GIF and JavaScript": lambda: b"GIF89a/*" + encoded(RED, "GIF")[8:] + b"*/=1;alert(1)",
    "PNG and PHP": lambda: in_png(chunk(b"tEXt", b"a\0<?php system($_GET[0]); ?>")),
    "PDF and JPEG": lambda: b"%PDF-1.7\n" + encoded(RED),
    "JPEG named SVG": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'>" + encoded(RED),
}


@pytest.mark.parametrize("name", POLYGLOTS)
def test_of_a_file_that_is_two_things_only_the_picture_is_used(name: str) -> None:
    data = POLYGLOTS[name]()
    if not strip(data).data.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF89a")):
        with pytest.raises(ImageError):
            decode_image(data)
    else:
        assert not re.search(rb"script|alert|PK\x05|php", to_jpeg(decode_image(data)))


def test_a_palette_that_is_missing_is_damage() -> None:
    data = encoded(picture("red").convert("P"), "PNG")
    start = data.index(b"PLTE") - 4
    length = struct.unpack_from(">I", data, start)[0]
    with pytest.raises(UnreadableImageError):
        decode_image(data[:start] + data[start + 12 + length :])


def test_an_encoder_that_writes_small_pieces_is_not_refused() -> None:
    data = in_png(*[chunk(b"tEXt", b"a\0b")] * (MAX_PIECES // 2))
    assert decode_image(data).size == RED.size
    assert isinstance(Image.open(io.BytesIO(data)), Image.Image)


def test_a_file_of_the_first_brand_of_both_is_avif_if_it_says_so() -> None:
    assert detect(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic") is HEIC
    assert detect(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic") is HEIC
    assert detect(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif") is AVIF
    assert detect(b"\0\0\0\x18ftypavif\0\0\0\0mif1heic") is AVIF
    assert detect(b"\0\0\0\x18ftypqt  \0\0\0\0qt  ") is None


def test_a_bitmap_declares_no_more_than_it_holds() -> None:
    data = bytearray(encoded(RED, "BMP"))
    compressed = bytes(data[:30]) + struct.pack("<I", 1) + bytes(data[34:])
    with pytest.raises(UnreadableImageError, match="Compressed BMP"):
        decode_image(compressed)
    struct.pack_into("<ii", data, 18, 4_000, 4_000)
    with pytest.raises(UnreadableImageError):
        decode_image(bytes(data))


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def heic_grid(tiles: int, tile: int, size: int) -> bytes:
    """The header of a HEIC grid that names one tile again and again."""
    ispe = [box(b"ispe", struct.pack(">III", 0, side, side)) for side in (size, tile)]
    ipma = box(b"ipma", struct.pack(">IIHBBHBB", 0, 2, 1, 1, 1, 2, 1, 2))
    infe = [box(b"infe", struct.pack(">IHH4s", 2 << 24, item, 0, kind)) for item, kind in ((1, b"grid"), (2, b"hvc1"))]
    dimg = box(b"dimg", struct.pack(">HH", 1, tiles) + struct.pack(">H", 2) * tiles)
    meta = (
        box(b"pitm", struct.pack(">IH", 0, 1)) + box(b"iinf", struct.pack(">IH", 0, 2) + b"".join(infe))
        + box(b"iref", bytes(4) + dimg) + box(b"iprp", box(b"ipco", b"".join(ispe)) + ipma)
    )  # fmt: skip
    return box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(4) + meta)


def test_tiles_of_a_grid_count_as_often_as_it_names_them() -> None:
    with pytest.raises(ImageTooLargeError, match="million pixels to decode"):
        open_image(heic_grid(961, 4096, 7000))
    assert open_image(heic_grid(48, 512, 4032)).pixels > 12_000_000


@pytest.mark.parametrize("format_", ["AVIF", "HEIF"])
def test_a_coded_picture_that_is_larger_than_declared_is_refused(format_: str) -> None:
    pillow_heif.register_heif_opener()
    data = encoded(picture("red", (640, 480)), format_)
    assert open_image(data).decode().size == (640, 480)
    lie = data.replace(struct.pack(">II", 640, 480), struct.pack(">II", 64, 64))
    assert lie != data
    with pytest.raises(UnreadableImageError, match="size that its header declares"):
        open_image(lie)

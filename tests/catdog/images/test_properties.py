"""Format by property: orientation, transparency, colours and first frame come out as browsers show them."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from catdog.errors import UnreadableImageError
from catdog.images.colour import is_srgb, matrix_profile
from catdog.images.decode import decode_image, open_image
from catdog.images.pool import DecodingPool
from tests.toy import encoded, picture

SWAPPED = matrix_profile((0.3127, 0.329, 0.15, 0.06, 0.3, 0.6, 0.64, 0.33), None)
"""A colour space whose red is sRGB's blue."""
LOSSLESS = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "HEIF": {"quality": 95, "chroma": 444},
}


@pytest.fixture(autouse=True)
def _heif_for_writing() -> None:
    pillow_heif.register_heif_opener()


def pixel(image: Image.Image, place: tuple[int, int]) -> tuple[int, ...]:
    found = image.getpixel(place)
    assert isinstance(found, tuple)
    return found


def middle(data: bytes) -> tuple[int, ...]:
    image = decode_image(data)
    return pixel(image, (image.width // 2, image.height // 2))


def near(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(abs(a - b) <= 8 for a, b in zip(found, wanted, strict=True))


def png(chunks: dict[bytes, bytes]) -> bytes:
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiny_png(depth: int, colour_type: int, row: bytes, **chunks: bytes) -> bytes:
    """8 x 1 pixels."""
    between = {name.encode(): body for name, body in chunks.items()}
    header = struct.pack(">IIBBBBB", 8, 1, depth, colour_type, 0, 0, 0)
    return png({b"IHDR": header, **between, b"IDAT": zlib.compress(b"\0" + row), b"IEND": b""})


@pytest.mark.parametrize("format_", LOSSLESS)
def test_a_colour_profile_is_applied(format_: str) -> None:
    assert SWAPPED
    assert near(middle(encoded(picture("red"), format_, icc_profile=SWAPPED, **LOSSLESS[format_])), (0, 0, 255))


@pytest.mark.parametrize("format_", LOSSLESS)
@pytest.mark.parametrize("profile", [b"broken", b"\0" * 200, bytes(range(256)) * 20])
def test_a_broken_profile_is_ignored(format_: str, profile: bytes) -> None:
    assert near(middle(encoded(picture("red"), format_, icc_profile=profile, **LOSSLESS[format_])), (255, 0, 0))


def test_the_profile_of_srgb_changes_nothing_and_costs_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert is_srgb(profile)
    assert open_image(encoded(picture("red"), icc_profile=profile)).is_plain


def test_display_p3_is_wider_than_srgb_and_adobe_gamma_darker() -> None:
    p3 = matrix_profile((0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), None)
    adobe = matrix_profile((0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 563 / 256)
    grey, soft = picture((128, 128, 128), (16, 16)), picture((160, 90, 90), (16, 16))
    for profile in (p3, adobe):
        assert profile
        assert near(middle(encoded(grey, "PNG", icc_profile=profile)), (128, 128, 128))
        red, green, _ = middle(encoded(soft, "PNG", icc_profile=profile))
        assert red > 160 + 3
        assert green <= 92


def test_png_gamma_and_primaries_are_applied_unless_it_says_srgb() -> None:
    bright = tiny_png(8, 0, b"\x80" * 8, gAMA=struct.pack(">I", 100_000))
    assert near(middle(bright), (188, 188, 188))
    assert near(middle(tiny_png(8, 0, b"\x80" * 8, sRGB=b"\0", gAMA=struct.pack(">I", 100_000))), (128, 128, 128))
    corners = struct.pack(">8I", 31270, 32900, 15000, 6000, 30000, 60000, 64000, 33000)
    swapped = tiny_png(8, 2, b"\xff\0\0" * 8, gAMA=struct.pack(">I", 45455), cHRM=corners)
    assert near(middle(swapped), (0, 0, 255))


@pytest.mark.parametrize(
    ("depth", "colour_type", "row", "clear"),
    [
        (1, 0, b"\xff", struct.pack(">H", 1)),
        (2, 0, b"\x55\x55", struct.pack(">H", 1)),
        (4, 0, b"\x33" * 4, struct.pack(">H", 3)),
        (8, 0, b"\x10" * 8, struct.pack(">H", 16)),
        (16, 0, b"\x10\x20" * 8, struct.pack(">H", 0x1020)),
        (8, 2, b"\x10\x20\x30" * 8, struct.pack(">HHH", 16, 32, 48)),
        (16, 2, b"\x10\x01\x20\x02\x30\x03" * 8, struct.pack(">HHH", 0x1001, 0x2002, 0x3003)),
    ],
)
def test_a_transparent_colour_is_white_at_every_depth(depth: int, colour_type: int, row: bytes, clear: bytes) -> None:
    assert middle(tiny_png(depth, colour_type, row, tRNS=clear)) == (255, 255, 255)


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "AVIF", "HEIF"])
def test_what_is_transparent_is_white(format_: str) -> None:
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    assert near(middle(encoded(clear, format_)), (255, 255, 255))


def test_a_first_frame_smaller_than_its_canvas_lies_on_white() -> None:
    data = bytearray(encoded(picture("red", (20, 20)), "GIF"))
    struct.pack_into("<HH", data, 6, 60, 40)
    image = decode_image(bytes(data))
    assert image.size == (60, 40)
    assert (image.getpixel((5, 5)), image.getpixel((40, 30))) == ((255, 0, 0), (255, 255, 255))


def without_container_orientation(data: bytes) -> bytes:
    """A HEIC as some phones write it: the orientation is in EXIF alone, and the brand `miaf` is absent."""
    return data.replace(b"miaf", b"hevc").replace(b"irot", b"skip").replace(b"imir", b"skip")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_decides_where_the_container_says_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = Image.fromarray(np.arange(96 * 64, dtype=np.uint32).astype(np.uint8).reshape(64, 96)).convert("RGB")
    upright.paste("red", (0, 0, 48, 32))
    stored = encoded(upright, "JPEG", exif=exif.tobytes())
    wanted = decode_image(stored)
    plain = Image.open(io.BytesIO(encoded(upright, "PNG")))
    added = pillow_heif.from_pillow(plain)
    added.info["exif"] = exif.tobytes()
    out = io.BytesIO()
    added.save(out, quality=95)
    found = decode_image(without_container_orientation(out.getvalue()))
    assert found.size == wanted.size
    for x, y in ((0.1, 0.1), (0.9, 0.1), (0.1, 0.9)):
        place = int(x * found.width), int(y * found.height)
        first, second = found.getpixel(place), wanted.getpixel(place)
        assert isinstance(first, tuple)
        assert isinstance(second, tuple)
        assert abs(first[0] - second[0]) < 40, (orientation, place)


def noise(size: tuple[int, int] = (320, 320)) -> Image.Image:
    rng = np.random.default_rng(1)
    return Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_is_answered_as_far_as_it_goes(progressive: bool) -> None:
    data = encoded(noise(), "JPEG", progressive=progressive)
    whole = decode_image(data)
    assert np.abs(np.asarray(decode_image(data[:-2]), int) - np.asarray(whole, int)).max() <= 4
    assert decode_image(data[: round(0.97 * len(data))]).height >= 0.9 * whole.height
    with pytest.raises(UnreadableImageError, match="cut short"):
        decode_image(data[: len(data) // 3])


@pytest.mark.parametrize("format_", ["AVIF", "GIF", "HEIF", "BMP"])
def test_a_process_of_its_own_gives_the_same_pixels(format_: str) -> None:
    photo = open_image(encoded(noise(), format_))
    assert not photo.is_plain
    with DecodingPool(processes=1) as pool:
        assert pool.decode(photo).tobytes() == open_image(photo.data).decode().tobytes()


@pytest.mark.slow
def test_a_picture_that_takes_too_long_costs_only_itself() -> None:
    photo = open_image(encoded(noise((2000, 1500)), "GIF"))
    with DecodingPool(processes=1, cpu_s=0.001) as pool:
        for _ in range(2):
            with pytest.raises(UnreadableImageError, match="too long"):
                pool.decode(photo)


def test_a_damaged_picture_is_explained_by_the_process_that_decodes_it() -> None:
    data = encoded(noise(), "AVIF")
    with DecodingPool(processes=1) as pool:
        with pytest.raises(UnreadableImageError, match=r"can't be read|damaged"):
            pool.decode(open_image(data[: len(data) // 2]))
        assert pool.decode(open_image(data)).size == (320, 320)


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG"])
def test_an_animation_whose_first_frame_is_small_lies_on_white(format_: str) -> None:
    first = Image.new("RGBA", (64, 64))
    first.paste((255, 0, 0, 255), (20, 20, 44, 44))
    data = encoded(first, format_, save_all=True, append_images=[Image.new("RGBA", (64, 64), "blue")])
    image = decode_image(data)
    assert near(pixel(image, (3, 3)), (255, 255, 255))
    assert near(pixel(image, (32, 32)), (255, 0, 0))

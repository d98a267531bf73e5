"""Decoding what strangers send."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from catdog.errors import ImageTooLargeError, UnreadableImageError
from catdog.images.decode import DECODED_SIDE, ImageLimits, decode_image, decoded_side, read_image, to_jpeg
from catdog.model.metadata import Preprocessing
from tests.toy import encoded, picture

FORMATS = ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "HEIF"]
SPEC = Preprocessing(
    input_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bilinear", crop_pct=1.0, crop_mode="center"
)


@pytest.fixture(autouse=True)
def _heif_for_writing() -> None:
    pillow_heif.register_heif_opener()


def colour_of(image: Image.Image, x: float = 0.5, y: float = 0.5) -> tuple[int, ...]:
    value = image.getpixel((int(x * (image.width - 1)), int(y * (image.height - 1))))
    assert isinstance(value, tuple)
    return value


def close(found: tuple[int, ...], wanted: tuple[int, int, int]) -> bool:
    return len(found) == 3 and all(abs(a - b) <= 12 for a, b in zip(found, wanted, strict=True))


def corner_marked(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Blue, with a red upper left quarter."""
    image = picture("blue", size)
    image.paste("red", (0, 0, size[0] // 2, size[1] // 2))
    return image


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format_", FORMATS)
def test_every_accepted_format_decodes_to_upright_rgb(format_: str) -> None:
    image = decode_image(encoded(corner_marked(), format_))
    assert (image.mode, image.size) == ("RGB", (96, 64))
    assert close(colour_of(image, 0.2, 0.2), (255, 0, 0))
    assert close(colour_of(image, 0.8, 0.8), (0, 0, 255))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_all_orientations_come_out_upright(format_: str, orientation: int) -> None:
    stored = corner_marked()
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode_image(encoded(stored, format_, exif=exif.tobytes()))
    assert image.size == (96, 64)
    assert close(colour_of(image, 0.2, 0.2), (255, 0, 0))
    assert close(colour_of(image, 0.8, 0.2), (0, 0, 255))
    assert close(colour_of(image, 0.2, 0.8), (0, 0, 255))


def test_grey_palette_cmyk_16_bit_and_transparent_images_come_out_right() -> None:
    grey = decode_image(encoded(Image.new("L", (20, 20), 128), "PNG"))
    assert close(colour_of(grey), (128, 128, 128))
    palette = decode_image(encoded(picture("red").convert("P"), "PNG"))
    assert close(colour_of(palette), (255, 0, 0))
    cmyk = decode_image(encoded(picture("red").convert("CMYK"), "JPEG"))
    assert close(colour_of(cmyk), (255, 0, 0))
    deep = Image.fromarray(np.full((20, 20), 32896, dtype=np.uint16))
    assert close(colour_of(decode_image(encoded(deep, "PNG"))), (128, 128, 128))
    bilevel = decode_image(encoded(Image.new("1", (20, 20), 1), "PNG"))
    assert close(colour_of(bilevel), (255, 255, 255))
    clear = decode_image(encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), "PNG"))
    assert close(colour_of(clear), (255, 255, 255))
    half = decode_image(encoded(Image.new("LA", (20, 20), (0, 128)), "PNG"))
    assert close(colour_of(half), (127, 127, 127))


def test_an_animation_gives_its_first_frame() -> None:
    for format_ in ("GIF", "WEBP", "PNG"):
        data = encoded(picture("red"), format_, save_all=True, append_images=[picture("blue"), picture("green")])
        assert close(colour_of(decode_image(data)), (255, 0, 0)), format_


def test_a_large_jpeg_is_decoded_at_a_reduced_scale() -> None:
    image = decode_image(encoded(corner_marked((4000, 3000)), "JPEG"))
    assert image.size == (1000, 750)
    assert min(image.size) >= DECODED_SIDE
    assert close(colour_of(image, 0.2, 0.2), (255, 0, 0))


@pytest.mark.parametrize(
    ("format_", "mode"),
    [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "P"), ("PNG", "L"), ("WEBP", "RGBA"), ("HEIF", "RGB"),
     ("HEIF", "RGBA"), ("HEIF", "L"), ("BMP", "RGB")],
)  # fmt: skip
def test_a_large_picture_of_any_kind_comes_out_reduced_without_seams(format_: str, mode: str) -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (13, 19, 3), dtype=np.uint8))
    large = coarse.resize((2053, 1037), Image.Resampling.BILINEAR).convert("L" if mode in ("L", "LA") else "RGB")
    options = {"WEBP": {"lossless": True, "method": 0}, "HEIF": {"enc_params": {"preset": "ultrafast"}}}
    found = decode_image(encoded(large.convert(mode), format_, **options.get(format_, {})))
    assert found.size == (1027, 519)
    wanted = large.convert("RGB").reduce(2)
    difference = np.abs(np.asarray(found, dtype=int) - np.asarray(wanted, dtype=int))
    assert difference.mean() < 8 if mode == "P" else difference.max() < 12


@pytest.mark.parametrize(
    "data",
    [
        b"this is a text file named .jpg",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xff\xd8\xff",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n",
        b"",
    ],
)
def test_what_is_no_image_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(UnreadableImageError, match=r"[A-Z].*\."):
        decode_image(data)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_truncated_file_is_refused(format_: str) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (200, 300, 3), dtype=np.uint8))
    data = encoded(noise, format_)
    with pytest.raises(UnreadableImageError):
        decode_image(data[: len(data) // 2])


def test_a_heic_without_a_picture_that_its_decoder_knows_is_refused() -> None:
    data = encoded(picture("red"), "HEIF")
    with pytest.raises(UnreadableImageError):
        decode_image(data.replace(b"hvcC", b"none"))


def test_a_phone_picture_with_a_second_picture_behind_it_decodes() -> None:
    data = encoded(picture("red"), "MPO", save_all=True, append_images=[picture("blue")])
    assert close(colour_of(decode_image(data)), (255, 0, 0))


def test_formats_off_the_list_are_refused() -> None:
    for format_ in ("TIFF", "ICO", "PPM", "TGA", "PCX"):
        with pytest.raises(UnreadableImageError):
            decode_image(encoded(picture("red"), format_))


@pytest.mark.parametrize("size", [(20_000, 20_000), (13_370, 13_370), (9_000, 8_000)])
def test_too_many_pixels_are_refused_from_the_header(size: tuple[int, int]) -> None:
    with pytest.raises(ImageTooLargeError, match="smaller copy"):
        decode_image(png_header(*size))


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(ImageTooLargeError, match="MB"):
        decode_image(encoded(picture("red")), limits=ImageLimits(max_bytes=100))


def test_a_stored_jpeg_is_small_and_has_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x010E] = "my holiday, 52.5 N 13.4 E"
    data = to_jpeg(decode_image(encoded(corner_marked((2000, 1000)), exif=exif.tobytes(), comment=b"secret")))
    stored = Image.open(io.BytesIO(data))
    assert max(stored.size) == 512
    assert not stored.getexif()
    assert b"holiday" not in data
    assert b"secret" not in data


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="No such file"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(UnreadableImageError, match="directory"):
        read_image(tmp_path)


def test_a_network_gets_a_quarter_more_pixels_than_it_needs_of_a_large_photo() -> None:
    spec = SPEC.model_copy(update={"input_size": 256, "crop_pct": 0.95})
    photo = encoded(picture("red", (4000, 3000)))
    assert decode_image(photo, side=decoded_side(spec)).size == (500, 375)
    assert decode_image(photo).size == (1000, 750)
    assert decoded_side(spec.model_copy(update={"input_size": 448})) == DECODED_SIDE

"""Ways in which photos are worse than those of a data set, done to the pictures of one."""

import io
from collections.abc import Callable, Mapping

from PIL import Image, ImageEnhance, ImageFilter

_SMALL = 64
_DARK = 0.3
_BLUR = 0.02
_QUALITY = 10

Distortion = Callable[[Image.Image], Image.Image]


def shrink(image: Image.Image) -> Image.Image:
    """To 64 pixels at the shorter side; smaller ones stay."""
    scale = min(1.0, _SMALL / min(image.size))
    return image.resize((round(scale * image.width), round(scale * image.height)), Image.Resampling.BICUBIC)


def darken(image: Image.Image) -> Image.Image:
    """To 30 % of the brightness."""
    return ImageEnhance.Brightness(image).enhance(_DARK)


def blur(image: Image.Image) -> Image.Image:
    """A Gaussian whose standard deviation is 2 % of the shorter side."""
    return image.filter(ImageFilter.GaussianBlur(_BLUR * min(image.size)))


def turn(image: Image.Image) -> Image.Image:
    """By 90 degrees to the left."""
    return image.transpose(Image.Transpose.ROTATE_90)


def overturn(image: Image.Image) -> Image.Image:
    """Upside-down."""
    return image.transpose(Image.Transpose.ROTATE_180)


def decolour(image: Image.Image) -> Image.Image:
    """Black-and-white."""
    return image.convert("L").convert("RGB")


def compress(image: Image.Image) -> Image.Image:
    """A JPEG of quality 10."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=_QUALITY)
    return Image.open(data).convert("RGB")


DISTORTIONS: Mapping[str, Distortion] = {
    "shrunk to 64 pixels": shrink,
    "darkened to 30 %": darken,
    "blurred": blur,
    "rotated by 90°": turn,
    "upside-down": overturn,
    "black-and-white": decolour,
    "JPEG quality 10": compress,
}
"""All, by the name that a report gives them."""

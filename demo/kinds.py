"""Kinds of picture that a model of ordinary photos is weak at, made of ordinary ones that a person still recognises."""

import io
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

Kind = Callable[[Image.Image, np.random.Generator], Image.Image]
_GREY = (127, 127, 127)


def make(kind: str, image: Image.Image, name: str) -> Image.Image:
    """A photo as a picture of one of `KINDS`; the same name gives the same picture."""
    return KINDS[kind](image.convert("RGB"), np.random.default_rng(zlib.crc32(f"{kind} {name}".encode())))


def _night(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Without colour, a tenth to a fifth as bright, with the noise of a sensor."""
    dark = ImageEnhance.Brightness(ImageOps.grayscale(image)).enhance(float(generator.uniform(0.08, 0.2)))
    levels = np.asarray(dark).astype(np.float32)
    noisy = levels + generator.normal(0, generator.uniform(4, 9), levels.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).convert("RGB")


def _turned(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """By a quarter, a half or three quarters, and up to 25 degrees more."""
    angle = float(generator.choice([90, 180, 270]) + generator.uniform(-25, 25))
    return image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=_GREY)


def _drawing(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """A pencil sketch: the photo divided by its own blurred self, in two levels."""
    grey = ImageOps.grayscale(image.filter(ImageFilter.MedianFilter(3)))
    soft = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(float(generator.uniform(4, 8))))
    lines = np.clip(np.asarray(grey).astype(np.float32) * 255 / (256 - np.asarray(soft).astype(np.float32)), 0, 255)
    drawn = np.where(lines < generator.uniform(225, 240), lines * 0.5, 255).astype(np.uint8)
    return Image.fromarray(drawn).filter(ImageFilter.GaussianBlur(0.7)).convert("RGB")


def _compressed(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Shrunk to a fifth, saved as a poor JPEG, and enlarged again."""
    share = float(generator.uniform(0.14, 0.22))
    small = image.resize((max(8, round(image.width * share)), max(8, round(image.height * share))))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=int(generator.integers(8, 25)))
    return Image.open(out).convert("RGB").resize(image.size, Image.Resampling.BILINEAR)


def _fence(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Behind the wires of a fence."""
    fenced = image.copy()
    draw, (width, height) = ImageDraw.Draw(fenced), image.size
    gap = float(generator.uniform(0.11, 0.16)) * width
    wire, level = max(3, round(gap * generator.uniform(0.28, 0.42))), int(generator.integers(60, 200))
    for x in np.arange(-height + generator.uniform(0, gap), width + height, gap * 1.6).tolist():
        draw.line([(x, 0), (x + height, height)], fill=(level,) * 3, width=wire)
        draw.line([(x + height, 0), (x, height)], fill=(level - 15,) * 3, width=wire)
    return fenced


def _snow(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """In falling snow."""
    snowy = image.copy()
    draw, size = ImageDraw.Draw(snowy), max(image.size)
    for _ in range(int(generator.integers(250, 450))):
        x, y = generator.uniform(0, 1, 2) * image.size
        radius = float(generator.uniform(0.006, 0.02)) * size
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(245, 245, 250))
    return snowy


def _moving(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Blurred along a line, an eighth of the picture long."""
    levels, steps, angle = np.asarray(image).astype(np.float32), max(1, image.width // 8), generator.uniform(0, np.pi)
    along = np.outer(np.arange(steps) - steps / 2, [np.sin(angle), np.cos(angle)]).round().astype(int)
    blurred = np.zeros_like(levels)
    for shift in along.tolist():
        blurred += np.roll(levels, tuple(shift), (0, 1)) / steps
    return Image.fromarray(blurred.astype(np.uint8))


def _rain(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Streaks that all fall the same way, before a picture a little out of focus."""
    wet, size = image.filter(ImageFilter.GaussianBlur(0.01 * min(image.size))), max(image.size)
    draw = ImageDraw.Draw(wet, "RGBA")
    for _ in range(700):
        x, y = generator.uniform(0, 1, 2) * image.size
        length = generator.uniform(0.03, 0.1) * size
        draw.line([x, y, x + 0.2 * length, y + length], fill=(225, 225, 235, 170), width=max(1, int(0.007 * size)))
    return wet


KINDS: dict[str, Kind] = {
    "night": _night,
    "turned": _turned,
    "drawing": _drawing,
    "compressed": _compressed,
    "fence": _fence,
    "snow": _snow,
    "moving": _moving,
    "rain": _rain,
    "asis": lambda image, _: image,
}
NAMES = {
    "night": "photos at night: black-and-white, a tenth to a fifth as bright",
    "turned": "photos turned sideways or upside-down",
    "drawing": "drawings",
    "compressed": "blurred and heavily compressed photos",
    "fence": "photos through a fence",
    "snow": "photos in falling snow",
    "moving": "photos blurred by motion",
    "rain": "photos through rain",
    "asis": "pictures as they are",
}

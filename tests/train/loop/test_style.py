"""A picture in the style of another: its light, colours and sharpness, and still its own motif."""

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from tests.train.pictures import picture
from train.loop.style import SIDE, Style


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(float)


def roughness(image: Image.Image) -> float:
    return float(np.abs(np.diff(levels(image).mean(axis=2), axis=1)).mean())


def test_a_dark_grey_style_makes_a_picture_dark_and_grey() -> None:
    night = ImageEnhance.Brightness(ImageOps.grayscale(picture("amber", 1, (300, 200)))).enhance(0.2).convert("RGB")
    made = Style(night).of(picture("plum", 2, (120, 90)))
    assert made.size == (SIDE, SIDE)
    assert levels(made).mean() < 1.3 * levels(night).mean()
    assert np.ptp(levels(made), axis=2).mean() < 5


def test_a_blurred_style_blurs() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    soft = noise.filter(ImageFilter.GaussianBlur(6))
    assert roughness(Style(soft).of(noise)) < 0.3 * roughness(noise)


def test_the_motif_stays() -> None:
    old, other = picture("jade", 3, (200, 200)), picture("plum", 4, (200, 200))
    made = levels(Style(other).of(old)).mean(axis=2).ravel()
    before = levels(old.resize((SIDE, SIDE), Image.Resampling.BILINEAR)).mean(axis=2).ravel()
    assert np.corrcoef(made, before)[0, 1] > 0.4


def test_a_flat_picture_gives_and_takes_a_style_without_fuss() -> None:
    flat, old = Image.new("RGB", (50, 50), (90, 90, 90)), picture("jade", 3)
    assert np.ptp(levels(Style(flat).of(old)), axis=(0, 1)).max() <= 2
    assert Style(old).of(flat).size == (SIDE, SIDE)

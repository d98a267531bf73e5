"""From pixels to what the network gets."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from catdog.model import preprocessing
from catdog.model.metadata import Preprocessing
from catdog.model.preprocessing import crop_box, preprocess
from tests.browser.vectors import by_pillow
from tests.toy import picture

SPEC = Preprocessing(
    input_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bilinear", crop_pct=1.0, crop_mode="center"
)
GREY_LEVEL = 1 / 127.5
ADDRESS_SPACE = 2_000_000_000
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    width, height = size
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_preprocessing_keeps_the_middle_or_squashes_as_the_metadata_says() -> None:
    wide = picture("blue", (300, 100))
    wide.paste("red", (100, 0, 200, 100))
    centred = preprocess(wide, SPEC)
    assert np.allclose(centred[0, :, 1:-1], 1.0, atol=0.02)
    squashed = preprocess(wide, SPEC.model_copy(update={"crop_mode": "squash"}))
    assert np.allclose(squashed[0, :, :8], -1.0, atol=0.02)
    assert np.allclose(squashed[0, :, 14:18], 1.0, atol=0.02)


def test_preprocessing_normalises_with_mean_and_std() -> None:
    spec = SPEC.model_copy(update={"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)})
    array = preprocess(picture((255, 0, 51)), spec)
    assert array.dtype == np.float32
    assert np.allclose(array.mean(axis=(1, 2)), [(1 - 0.4) / 0.2, -0.5 / 0.3, (0.2 - 0.6) / 0.4], atol=1e-5)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize("size", [(500, 375), (333, 500), (17, 300), (60, 2), (1, 1), (5_000, 1_100)])
def test_pixels_are_pillows_but_for_a_grey_level_here_and_there(
    interpolation: str, crop_mode: str, size: tuple[int, int]
) -> None:
    spec = SPEC.model_copy(
        update={"interpolation": interpolation, "crop_mode": crop_mode, "input_size": 224, "crop_pct": 0.9}
    )
    difference = np.abs(preprocess(noise(size), spec) - by_pillow(noise(size), spec)) / GREY_LEVEL
    assert difference.max() < 2.01
    assert (difference > 0.01).mean() < 0.02


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_a_machine_without_the_fast_resampler_uses_pillow(monkeypatch: pytest.MonkeyPatch, interpolation: str) -> None:
    monkeypatch.setattr(preprocessing, "simd", None)
    spec, image = SPEC.model_copy(update={"interpolation": interpolation}), noise((90, 70))
    assert np.array_equal(preprocess(image, spec), by_pillow(image, spec))


@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize(("side", "crop_pct"), [(224, 1.0), (224, 0.875), (256, 0.95), (32, 1.0)])
def test_the_crop_is_within_the_picture_whatever_the_rounding(crop_mode: str, side: int, crop_pct: float) -> None:
    spec = SPEC.model_copy(update={"crop_mode": crop_mode, "input_size": side, "crop_pct": crop_pct})
    for width, height in np.random.default_rng(0).integers(1, 900, (2_000, 2)).tolist():
        left, top, right, bottom = crop_box((width, height), spec)
        assert 0 <= left < right <= width, (width, height)
        assert 0 <= top < bottom <= height, (width, height)
        assert left + (right - left) <= width, (width, height)
        assert top + (bottom - top) <= height, (width, height)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("crop_mode", ["center", "squash"])
@pytest.mark.parametrize("size", [(2, 4_000_000), (4_000_000, 2)])
def test_a_line_of_millions_of_pixels_takes_little_memory(size: tuple[int, int], crop_mode: str, fast: bool) -> None:
    spec = SPEC.model_copy(update={"crop_mode": crop_mode, "input_size": 256})
    lines = (
        "import resource; from PIL import Image; from catdog.model import preprocessing",
        "from catdog.model.metadata import Preprocessing",
        f"preprocessing.simd = preprocessing.simd if {fast} else None",
        f"image, spec = Image.new('RGB', {size}, 'red'), Preprocessing.model_validate({spec.model_dump()!r})",
        f"resource.setrlimit(resource.RLIMIT_AS, ({ADDRESS_SPACE}, {ADDRESS_SPACE}))",
        "pixels = preprocessing.preprocess(image, spec)",
        "assert pixels[0].min() > 0.99 and pixels[1:].max() < -0.99",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_threads_do_not_disturb_each_other() -> None:
    images = [noise((400 + seed, 300), seed) for seed in range(8)] * 4
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: preprocess(image, SPEC), images))
    for image, pixels in zip(images, together, strict=True):
        assert np.array_equal(pixels, preprocess(image, SPEC))

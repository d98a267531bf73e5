"""Pixels to a network's input, as its metadata asks for it."""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from catdog.model.metadata import Preprocessing

try:
    import cykooz_resizer as simd
except ModuleNotFoundError:  # it has no build for this kind of machine
    simd = None

Box = tuple[float, float, float, float]

_LONG = 64
"""Of a picture that is so many times as long as the result, pixels are averaged first: between the two steps of
resampling, a line of 8 million pixels that is squashed would take gigabytes."""

_FILTERS = {"bilinear": ("bilinear", 1), "bicubic": ("catmull_rom", 2), "lanczos": ("lanczos3", 3)}
"""The fast resampler's name of a filter, and how many pixels of the coarser picture it takes in to each side."""


def preprocess(image: Image.Image, spec: Preprocessing) -> npt.NDArray[np.float32]:
    """Turn an RGB image into what the network expects: resized, cropped, scaled and normalised.

    The same as timm's evaluation transform for this specification, but only the crop is resampled: a very long and
    thin image costs no more than a square one.

    Returns:
        Array of shape (3, side, side), where side is the specification's input size.
    """
    box = crop_box(image.size, spec)
    return standardize(_resampled(image, spec.input_size, box, spec.interpolation), spec)


def standardize(image: Image.Image, spec: Preprocessing) -> npt.NDArray[np.float32]:
    """Scale an RGB image's values by the specification's mean and standard deviation.

    Returns:
        Array of shape (3, height, width).
    """
    scale = 1.0 / (255.0 * np.asarray(spec.std, dtype=np.float32))
    offset = -np.asarray(spec.mean, dtype=np.float32) / np.asarray(spec.std, dtype=np.float32)
    size = (image.height, image.width)
    pixels = np.empty((len(scale), *size), dtype=np.float32)
    for channel, name in enumerate("RGB"):  # a plane at a time: three times as fast as pixel by pixel
        plane = pixels[channel]
        plane[...] = np.frombuffer(image.tobytes("raw", name), dtype=np.uint8).reshape(size)
        plane *= scale[channel]
        plane += offset[channel]
    return pixels


def crop_box(size: tuple[int, int], spec: Preprocessing) -> Box:
    """The part of an image of `size` (width, height) that the network sees: left, top, right, bottom in its pixels.

    `center` scales the shorter side to the input size divided by `crop_pct` and cuts the middle out; `squash` takes
    the image whatever its shape. Rounding follows timm and torchvision, so that both give the same pixels.
    """
    width, height = size
    side = spec.input_size
    short = math.floor(side / spec.crop_pct)
    if spec.crop_mode == "squash":
        scaled_width = scaled_height = short
    else:
        scaled_width = int(short * width / height) if width > height else short
        scaled_height = int(short * height / width) if height > width else short
    left, top = round((scaled_width - side) / 2), round((scaled_height - side) / 2)
    across, down = width / scaled_width, height / scaled_height
    right, bottom = min((left + side) * across, width), min((top + side) * down, height)  # rounding may exceed them
    return left * across, top * down, right, bottom


def _resampled(image: Image.Image, side: int, box: Box, interpolation: str) -> Image.Image:
    """Resample a part of an RGB image to a square, with the processor's vector units where that can be.

    In two steps, rows first, because that is Pillow's order: all but a few in a thousand values are then Pillow's, and
    those differ by a grey level or two. The library reads the memory of Pillow's images itself, as the Pillow that
    `requirements.txt` pins lays it out; another one must pass the tests first.
    """
    image, box = _shortened(image, box, _LONG * side)
    if simd is None or interpolation not in _FILTERS:
        return image.resize((side, side), Image.Resampling[interpolation.upper()], box=box)
    left, top, right, bottom = box
    name, support = _FILTERS[interpolation]
    reach = support * max(1.0, (bottom - top) / side)
    first, last = max(0, math.floor(top - reach)), min(image.height, math.ceil(bottom + reach))
    narrow = Image.new("RGB", (side, last - first))
    square = Image.new("RGB", (side, side))
    resizer = simd.Resizer()  # one each: it is not for two threads at a time
    method = simd.ResizeAlg.convolution(simd.FilterType[name])
    for source, target, part in (
        (image, narrow, simd.CropBox(left, first, right - left, last - first)),
        (narrow, square, simd.CropBox(0, top - first, side, bottom - top)),
    ):
        resizer.resize_pil(source, target, simd.ResizeOptions(method, crop_box=part))
    return square


def _shortened(image: Image.Image, box: Box, most: int) -> tuple[Image.Image, Box]:
    """A picture of which the box has less than twice `most` pixels each way, and where the box is then."""
    left, top, right, bottom = box
    across, down = max(1, int((right - left) // most)), max(1, int((bottom - top) // most))
    if across == down == 1:
        return image, box
    return image.reduce((across, down)), (left / across, top / down, right / across, bottom / down)

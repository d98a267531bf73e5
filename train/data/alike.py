"""Old training pictures made to look like the reported ones: many labels to trust for what few answers are about.

People report what is wrong, and seldom what is right, some press the wrong button, and a hundred answers say little
about a kind of picture. How a kind looks can be told without labels, though: a classifier learns from old pictures that
were changed in known ways (darkened, turned, compressed, ...) which change is which, and says what the reported
pictures look like. Old pictures that are changed so keep their own labels, which nobody has to report. Pictures that
look as they always did change nothing.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from train.metrics import Floats

AS_IS = ""
"""The way that changes nothing."""
_STRENGTH = 0.01
_ROUNDS = 50
_LEAST_SHARE = 0.1
"""Of the answers; what fewer look like may be chance."""
_LEAST_IN_ALL = 0.4
_LEAST_TOLD = 0.5
"""Of changed pictures that were not learned from, so many have to be told right."""
_SETTLED = 1e-4
_LARGEST = (640, 640)

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
Range = tuple[float, float]


def _dark(image: Image.Image, generator: np.random.Generator, *, light: Range) -> Image.Image:
    """Of the light so much is left; with the noise of a sensor."""
    dark = ImageEnhance.Brightness(image).enhance(float(generator.uniform(*light)))
    return _noised(dark, generator, generator.uniform(0, 10))


def _night(image: Image.Image, generator: np.random.Generator, *, light: Range) -> Image.Image:
    return _dark(_grey(image, generator), generator, light=light)


def _grey(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return ImageOps.grayscale(image).convert("RGB")


def _bright(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(float(generator.uniform(1.6, 2.8)))


def _hazy(image: Image.Image, generator: np.random.Generator, *, veiled: Range) -> Image.Image:
    """As through dirty glass: a bright veil, and the picture by so much less."""
    veil = Image.new("RGB", image.size, (int(generator.integers(120, 230)),) * 3)
    blurred = image.filter(ImageFilter.GaussianBlur(float(generator.uniform(0, 0.01)) * min(image.size)))
    return Image.blend(blurred, veil, float(generator.uniform(*veiled)))


def _blurred(image: Image.Image, generator: np.random.Generator, *, radius: Range) -> Image.Image:
    """By a radius relative to the shorter side."""
    return image.filter(ImageFilter.GaussianBlur(float(generator.uniform(*radius)) * min(image.size)))


def _smeared(image: Image.Image, generator: np.random.Generator, *, length: Range) -> Image.Image:
    """By motion along a line; its length is relative to the shorter side."""
    angle, length_px = generator.uniform(0, np.pi), float(generator.uniform(*length)) * min(image.size)
    step = length_px / 2 * np.array([np.cos(angle), np.sin(angle)])
    while np.abs(step).max() >= 0.5:  # noqa: PLR2004 - each mean with a shifted copy doubles the exposures
        image = Image.blend(image, ImageChops.offset(image, *step.round().astype(int).tolist()), 0.5)
        step = step / 2
    return image


def _behind_glass(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Something else is mirrored in the pane: a part of the picture, so that nothing but the picture is needed."""
    radius = float(generator.uniform(0, 0.02)) * min(image.size)
    mirrored = ImageOps.mirror(_close_up(image, generator)).filter(ImageFilter.GaussianBlur(radius))
    if generator.random() < 0.5:  # noqa: PLR2004 - at night the pane adds light, by day it takes some of the picture's
        return ImageChops.screen(image, ImageEnhance.Brightness(mirrored).enhance(float(generator.uniform(0.4, 0.9))))
    return Image.blend(image, mirrored, float(generator.uniform(0.3, 0.55)))


def _pixelated(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """In squares, a few dozen along the shorter side."""
    share = float(generator.uniform(24, 56)) / min(image.size)
    small = image.resize(
        (max(1, round(image.width * share)), max(1, round(image.height * share))), Image.Resampling.BOX
    )
    return small.resize(image.size, Image.Resampling.NEAREST)


def _compressed(image: Image.Image, generator: np.random.Generator, *, size: Range, quality: Range) -> Image.Image:
    """Shrunk to a share of its size, saved as a poor JPEG, and enlarged again."""
    share = float(generator.uniform(*size))
    out = io.BytesIO()
    small = image.resize((max(8, round(image.width * share)), max(8, round(image.height * share))))
    small.save(out, "JPEG", quality=int(generator.uniform(*quality)))
    return Image.open(out).convert("RGB").resize(image.size, Image.Resampling.BILINEAR)


def _noisy(image: Image.Image, generator: np.random.Generator, *, sigma: Range) -> Image.Image:
    return _noised(image, generator, generator.uniform(*sigma))


def _quarter(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    return _rotated(image, generator.choice([90, 270]) + generator.uniform(-25, 25), generator)


def _half(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    return _rotated(image, 180 + generator.uniform(-25, 25), generator)


def _tilted(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    return _rotated(image, generator.choice([-1, 1]) * generator.uniform(20, 60), generator)


def _drawn(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """By a pencil, in all its shades."""
    return _sketch(255 * (_lines(image, generator) / 255) ** float(generator.uniform(1, 6)))


def _inked(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """In one dark colour on white paper."""
    lines = np.where(_lines(image, generator) < generator.uniform(200, 245), generator.uniform(0, 140), 255.0)
    return _sketch(lines).filter(ImageFilter.GaussianBlur(float(generator.uniform(0, 1))))


def _lines(image: Image.Image, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """Grey levels of a sketch: the photo divided by its own blurred self."""
    grey = ImageOps.grayscale(image.filter(ImageFilter.MedianFilter(3)))
    soft = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(float(generator.uniform(2, 8))))
    light, dark = (np.asarray(each).astype(np.float32) for each in (grey, soft))
    lines: npt.NDArray[np.float32] = np.clip(light * 255 / (256 - dark), 0, 255)
    return lines


def _sketch(levels: npt.NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(levels.astype(np.uint8)).convert("RGB")


def _painted(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """In a few flat colours, as in a cartoon."""
    flat = image
    for _ in range(3):
        flat = flat.filter(ImageFilter.MedianFilter(5))
    vivid = ImageEnhance.Color(flat).enhance(float(generator.uniform(1, 2.5)))
    return ImageOps.posterize(vivid, int(generator.integers(2, 4)))


def _close_up(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """A small part of it."""
    share = float(generator.uniform(0.3, 0.5))
    size = np.array(image.size) * share
    left, top = generator.beta(2, 2, 2) * (np.array(image.size) - size)  # seldom in a corner
    box = (left, top, left + size[0], top + size[1])
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def _barred(image: Image.Image, generator: np.random.Generator, *, width: Range) -> Image.Image:
    """Behind bars, or the wires of a fence; their width is relative to the gaps."""
    fenced, size = image.copy(), max(image.size)
    draw, gap = ImageDraw.Draw(fenced), float(generator.uniform(0.08, 0.25)) * size
    wire, level = max(2, round(gap * generator.uniform(*width))), int(generator.integers(20, 235))
    angle = generator.uniform(0, np.pi)
    for turn in (0, np.pi / 2)[: int(generator.integers(1, 3))]:
        along, across = (np.array([np.cos(a), np.sin(a)]) for a in (angle + turn, angle + turn + np.pi / 2))
        for step in np.arange(-size, size, gap) + generator.uniform(0, gap):
            middle = np.array(image.size) / 2 + step * across
            ends = [tuple((middle + side * size * along).tolist()) for side in (-1, 1)]
            draw.line(ends, fill=(level,) * 3, width=wire)
    return fenced


def _distant(image: Image.Image, generator: np.random.Generator, *, size: Range) -> Image.Image:
    """Small, amid its own blurred surroundings."""
    share = float(generator.uniform(*size))
    small = image.resize((max(8, round(image.width * share)), max(8, round(image.height * share))))
    around = image.filter(ImageFilter.GaussianBlur(0.1 * min(image.size)))
    room = (max(0, image.width - small.width), max(0, image.height - small.height))
    around.paste(small, (int(generator.integers(0, room[0] + 1)), int(generator.integers(0, room[1] + 1))))
    return around


def _from_above(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """The lower part is further away."""
    width, height = image.size
    inset = float(generator.uniform(0.2, 0.4)) * width
    quad = (0, 0, -inset, height, width + inset, height, width, 0)
    return image.transform(image.size, Image.Transform.QUAD, quad, Image.Resampling.BILINEAR, fillcolor=_mean(image))


def _tinted(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """In the light of another colour."""
    factors = generator.uniform(0.3, 1.3, 3)
    levels = np.asarray(image).astype(np.float32) * factors
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


WAYS: Mapping[str, Change] = {
    "dark": partial(_dark, light=(0.2, 0.45)),
    "very dark": partial(_dark, light=(0.06, 0.2)),
    "dark and grey": partial(_night, light=(0.2, 0.45)),
    "very dark and grey": partial(_night, light=(0.06, 0.2)),
    "grey": _grey,
    "bright": _bright,
    "hazy": partial(_hazy, veiled=(0.4, 0.58)),
    "very hazy": partial(_hazy, veiled=(0.58, 0.75)),
    "behind glass": _behind_glass,
    "blurred": partial(_blurred, radius=(0.01, 0.02)),
    "very blurred": partial(_blurred, radius=(0.02, 0.04)),
    "smeared": partial(_smeared, length=(0.05, 0.1)),
    "very smeared": partial(_smeared, length=(0.1, 0.2)),
    "pixelated": _pixelated,
    "compressed": partial(_compressed, size=(0.25, 0.5), quality=(15, 30)),
    "heavily compressed": partial(_compressed, size=(0.12, 0.25), quality=(5, 15)),
    "noisy": partial(_noisy, sigma=(15, 27)),
    "very noisy": partial(_noisy, sigma=(27, 50)),
    "turned": _quarter,
    "upside-down": _half,
    "tilted": _tilted,
    "drawn": _drawn,
    "inked": _inked,
    "painted": _painted,
    "barred": partial(_barred, width=(0.15, 0.3)),
    "behind wide bars": partial(_barred, width=(0.3, 0.5)),
    "distant": partial(_distant, size=(0.42, 0.6)),
    "very distant": partial(_distant, size=(0.3, 0.42)),
    "close-up": _close_up,
    "from above": _from_above,
    "tinted": _tinted,
}
"""All changes, by the name that the log gives them. Those that vary most come in two degrees: how much matters as well
as which."""


def changed(image: Image.Image, way: str, generator: np.random.Generator) -> Image.Image:
    """A picture changed in one of `WAYS`, more or less, no larger than a network needs; `AS_IS` leaves it."""
    if not way:
        return image
    small = image.copy()
    small.thumbnail(_LARGEST)
    return WAYS[way](small, generator)


def find_ways(known: Floats, ways: Sequence[str], asked: Floats) -> dict[str, float]:
    """What pictures look like: the share of them for each way that enough look like.

    It is empty if most look as usual, or if the ways cannot be told apart.

    A classifier's probabilities lean to what it was taught, so that the shares are found by expectation maximisation
    (Saerens et al. 2002, "Adjusting the Outputs of a Classifier to New a Priori Probabilities").

    Args:
        known: Shape (m, d): features of old pictures, changed.
        ways: How each was: m of them, `AS_IS` among them.
        asked: Shape (n, d): features of the pictures.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(C=_STRENGTH, max_iter=300))
    with threadpool_limits(1):  # of products as small as these a second thread only waits, and takes ten times as long
        if cross_val_score(model, known, list(ways), cv=2).mean() < _LEAST_TOLD:
            return {}
        found = _shares(model.fit(known, list(ways)).predict_proba(asked))
    shares = {
        str(way): float(share)
        for way, share in zip(model.classes_, found, strict=True)
        if way and share >= _LEAST_SHARE
    }
    return shares if sum(shares.values()) >= _LEAST_IN_ALL else {}


def _shares(probabilities: Floats) -> Floats:
    """Shape (ways,), from shape (n, ways) of a classifier that was taught all ways equally often."""
    shares: Floats = np.full(probabilities.shape[1], 1 / probabilities.shape[1])
    for _ in range(_ROUNDS):
        weighted = probabilities * shares
        after: Floats = (weighted / weighted.sum(axis=1, keepdims=True)).mean(axis=0)
        if np.abs(after - shares).max() < _SETTLED:
            break
        shares = after
    return shares


def summary(maps: npt.NDArray[np.floating]) -> Floats:
    """How pictures look to a network: means and deviations of its early maps, shape (n, 2 * channels)."""
    levels = maps.astype(np.float32)
    found: Floats = np.concatenate([levels.mean(axis=(-2, -1)), levels.std(axis=(-2, -1))], axis=-1)
    return found


def _noised(image: Image.Image, generator: np.random.Generator, sigma: float) -> Image.Image:
    levels = np.asarray(image).astype(np.float32)
    noise = generator.normal(0, sigma, levels.shape[:2])[..., None]
    return Image.fromarray(np.clip(levels + noise, 0, 255).astype(np.uint8))


def _rotated(image: Image.Image, angle: float, generator: np.random.Generator) -> Image.Image:
    fill = _mean(image) if generator.random() < 0.5 else (127, 127, 127)  # noqa: PLR2004
    return image.rotate(float(angle), Image.Resampling.BICUBIC, fillcolor=fill)


def _mean(image: Image.Image) -> tuple[int, ...]:
    return tuple(np.asarray(image.resize((8, 8))).mean(axis=(0, 1)).astype(int).tolist())

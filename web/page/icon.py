"""The page's icon and its social preview, drawn here: a head with one cat's ear and one dog's ear."""

import functools
import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from web.i18n.texts import ENGLISH

_PAPER, _FUR, _DARK, _LIGHT = "#fff7ed", "#f97316", "#431407", "#fff7ed"
_HEAD_SIDE = 48
"""The head reaches from (12, 9) to (60, 57)."""
_SMOOTH = 4
_PREVIEW_SIZE = (1200, 630)  # what social networks ask for
_HEAD = (
    f'<path d="M13 34 16 9 30 21Z" fill="{_FUR}"/>'
    f'<path d="M42 20c8-8 17-4 16 8-1 8-5 14-9 14Z" fill="{_DARK}"/>'
    f'<ellipse cx="33" cy="37" rx="21" ry="20" fill="{_FUR}"/>'
    f'<circle cx="25" cy="34" r="3" fill="{_DARK}"/><circle cx="41" cy="34" r="3" fill="{_DARK}"/>'
    f'<ellipse cx="33" cy="45" rx="10" ry="8" fill="{_LIGHT}"/><path d="M29 41h8l-4 5Z" fill="{_DARK}"/>'
)


def favicon_svg() -> bytes:
    """The icon, at any size."""
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">{_HEAD}</svg>'.encode()


def icon_png(side: int) -> bytes:
    """The icon as a square PNG; the head fills the middle 80 %, so that systems may cut the corners off."""
    large = _SMOOTH * side  # Pillow draws without antialiasing
    canvas = Image.new("RGB", (large, large), _PAPER)
    scale = 0.8 * large / _HEAD_SIDE
    edge = (large - scale * _HEAD_SIDE) / 2
    _draw_head(ImageDraw.Draw(canvas), x=edge - 12 * scale, y=edge - 9 * scale, scale=scale)
    out = io.BytesIO()
    canvas.resize((side, side), Image.Resampling.LANCZOS).save(out, "PNG", optimize=True)
    return out.getvalue()


@functools.cache
def preview_png(labels: Sequence[str]) -> bytes:
    """What social networks show for a link to the page: the head and the question, as a PNG of 1200 by 630 pixels."""
    canvas = Image.new("RGB", _PREVIEW_SIZE, _PAPER)
    draw = ImageDraw.Draw(canvas)
    _draw_head(draw, x=80, y=120, scale=6.2)
    title = ENGLISH.title(labels)
    draw.text((520, 235), title, fill=_DARK, font=_fitting(title, width=620))
    draw.text((524, 345), "Ask it. Correct it. It learns.", fill="#9a3412", font=ImageFont.load_default(38))
    out = io.BytesIO()
    canvas.save(out, "PNG", optimize=True)
    return out.getvalue()


def _fitting(text: str, *, width: int, largest: int = 92) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, as large as the text may be."""
    size = largest
    while size > 1 and ImageFont.load_default(size).getlength(text) > width:
        size -= 4
    return ImageFont.load_default(size)


def _draw_head(draw: ImageDraw.ImageDraw, *, x: float, y: float, scale: float) -> None:
    def at(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x + scale * px, y + scale * py) for px, py in points]

    draw.polygon(at((13, 34), (16, 9), (30, 21)), fill=_FUR)
    draw.ellipse(at((42, 14), (58, 42)), fill=_DARK)
    draw.ellipse(at((12, 17), (54, 57)), fill=_FUR)
    draw.ellipse(at((22, 31), (28, 37)), fill=_DARK)
    draw.ellipse(at((38, 31), (44, 37)), fill=_DARK)
    draw.ellipse(at((23, 37), (43, 53)), fill=_LIGHT)
    draw.polygon(at((29, 41), (37, 41), (33, 46)), fill=_DARK)

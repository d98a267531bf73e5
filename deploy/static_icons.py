"""The static page's icon, drawn: a camera on the page's orange."""

import io

from PIL import Image, ImageDraw

_BACKGROUND = "#f97316"
_FOREGROUND = "#fff7ed"
_GRID = 64
_SMOOTH = 4
"""Drawn this much larger, then scaled down: Pillow draws without antialiasing."""


def icon_png(side: int) -> bytes:
    """The icon as a PNG of `side` x `side` pixels; what matters is in the middle 80 %, so that systems may mask it."""
    unit = side * _SMOOTH / _GRID
    image = Image.new("RGB", (side * _SMOOTH, side * _SMOOTH), _BACKGROUND)
    draw = ImageDraw.Draw(image)

    def scaled(*box: float) -> tuple[float, ...]:
        return tuple(unit * value for value in box)

    draw.rounded_rectangle(scaled(24, 16, 40, 26), 3 * unit, fill=_FOREGROUND)
    draw.rounded_rectangle(scaled(12, 21, 52, 48), 5 * unit, fill=_FOREGROUND)
    draw.ellipse(scaled(22, 24.5, 42, 44.5), fill=_BACKGROUND)
    draw.ellipse(scaled(26.5, 29, 37.5, 40), fill=_FOREGROUND)
    out = io.BytesIO()
    image.resize((side, side), Image.Resampling.LANCZOS).save(out, "PNG")
    return out.getvalue()

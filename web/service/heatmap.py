"""The heat map over a photo: which areas count towards the predicted label.

The numbers come from the network itself (`Model.explain`); here they become a picture that lies over the photo.
"""

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from catdog.model.metadata import Preprocessing
from catdog.model.preprocessing import crop_box

_STRONGEST_ALPHA = 200
_UNSEEN = (0, 0, 0, 140)
_LONGER_SIDE = 256  # a heat map has no detail; the browser scales it up
# Dark violet to bright yellow: readable with any colour vision, and on light and dark photos.
_RAMP = np.array([(48, 10, 90), (150, 30, 110), (235, 100, 50), (255, 230, 90)], dtype=np.float32)


def overlay(heat: npt.NDArray[np.float32], size: tuple[int, int], spec: Preprocessing) -> Image.Image:
    """Draw one label's heat map as a transparent picture of the photo's shape.

    Args:
        heat: Shape (h, w): what each area of the network's crop adds to the label; negative values are left out.
        size: The photo's width and height.
        spec: Determines which part of the photo the network sees.

    Returns:
        An RGBA picture, its longer side `_LONGER_SIDE` pixels; transparent where nothing counts towards the label,
        and dark where the network does not see the photo.
    """
    strength = np.clip(heat, 0, None)
    strength = strength / max(float(strength.max()), 1e-9)
    scale = _LONGER_SIDE / max(size)
    width, height = (max(1, round(side * scale)) for side in size)
    left, top, right, bottom = (round(edge * scale) for edge in crop_box(size, spec))
    seen = Image.fromarray(strength).resize((max(1, right - left), max(1, bottom - top)), Image.Resampling.BICUBIC)
    whole = Image.new("RGBA", (width, height), _UNSEEN)
    whole.paste(_coloured(np.clip(np.asarray(seen), 0, 1)), (left, top))
    return whole


def as_data_url(picture: Image.Image) -> str:
    """A picture as a `data:` URL."""
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"


def _coloured(strength: npt.NDArray[np.float32]) -> Image.Image:
    stops = np.linspace(0, 1, len(_RAMP))
    channels = [np.interp(strength, stops, _RAMP[:, channel]) for channel in range(3)]
    rgba = np.stack([*channels, _STRONGEST_ALPHA * strength], axis=-1)
    return Image.fromarray(rgba.astype(np.uint8))

"""Pictures to try without one of one's own: two that Gradio ships, and drawings. None is part of this repository."""

import functools
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw

from catdog.images.decode import decode_image, read_image, to_jpeg

_SIDE = 320
_THUMBNAIL_SIDE = 144  # shown at half of it: sharp on phones
_FROM_GRADIO = {"lion": "lion.jpg", "cheetah": "cheetah.jpg"}
_OF_LABELS = {"drawn-cat": "cat", "drawn-dog": "dog"}


class Examples:
    """The examples by name; those that this installation does not have are left out."""

    def __init__(self) -> None:
        self._drawn = {
            "drawn-cat": draw_cat,
            "drawn-dog": draw_dog,
            "cup": draw_cup,
        }
        found = find_spec("gradio")  # importing it takes seconds
        folders = [
            Path(folder, "media_assets", "images") for folder in (found and found.submodule_search_locations) or ()
        ]
        paths = {name: folder / file for folder in folders for name, file in _FROM_GRADIO.items()}
        self._shipped = {name: path for name, path in paths.items() if path.is_file()}

    def names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """In the order of the page; those of a label only if the model has it."""
        names = (*self._drawn, *self._shipped)
        return tuple(name for name in names if name not in _OF_LABELS or _OF_LABELS[name] in labels)

    @functools.cache  # noqa: B019 - lives as long as the app
    def thumbnail(self, name: str) -> bytes | None:
        """An example as a small JPEG, None if there is none of that name."""
        picture = self.picture(name)
        return to_jpeg(decode_image(picture), max_side=_THUMBNAIL_SIDE, quality=75) if picture else None

    @functools.cache  # noqa: B019 - lives as long as the app
    def picture(self, name: str) -> bytes | None:
        """An example as a JPEG, None if there is none of that name."""
        if name in self._drawn:
            return to_jpeg(self._drawn[name](), max_side=_SIDE)
        return to_jpeg(read_image(self._shipped[name]), max_side=_SIDE) if name in self._shipped else None


def draw_cat() -> Image.Image:
    """A cat's face: pointed ears, whiskers, slit eyes."""
    image, draw = _paper("#dbe4ea")
    for ear in (((70, 150), (88, 40), (150, 105)), ((250, 150), (232, 40), (170, 105))):
        draw.polygon(ear, fill="#8a7a6d")
    draw.ellipse((62, 80, 258, 270), fill="#8a7a6d")
    for x in (118, 202):
        draw.ellipse((x - 24, 140, x + 24, 180), fill="#c9d05a")
        draw.ellipse((x - 6, 140, x + 6, 180), fill="#15130f")
    draw.polygon(((148, 202), (172, 202), (160, 216)), fill="#c97b7b")
    draw.line(((160, 216), (160, 230)), fill="#33291f", width=3)
    for y, slope in ((212, -14), (222, 0), (232, 14)):
        draw.line(((140, y), (40, y + slope)), fill="#f4efe8", width=2)
        draw.line(((180, y), (280, y + slope)), fill="#f4efe8", width=2)
    return image


def draw_dog() -> Image.Image:
    """A dog's face: hanging ears, a long muzzle, a tongue."""
    image, draw = _paper("#e8e2cf")
    draw.ellipse((80, 50, 240, 220), fill="#b98a55")
    for box in ((48, 70, 112, 220), (208, 70, 272, 220)):
        draw.ellipse(box, fill="#6e4a26")
    draw.ellipse((108, 140, 212, 270), fill="#dcbd92")
    draw.ellipse((146, 225, 174, 290), fill="#d9707a")
    draw.ellipse((134, 150, 186, 190), fill="#1c1613")
    draw.line(((160, 190), (160, 228)), fill="#1c1613", width=4)
    for x in (128, 192):
        draw.ellipse((x - 13, 105, x + 13, 131), fill="#2a1c10")
        draw.ellipse((x - 5, 109, x + 2, 116), fill="#ffffff")
    return image


def draw_cup() -> Image.Image:
    """A cup: neither of both."""
    image, draw = _paper("#c7d9d2")
    draw.rectangle((0, 240, _SIDE, _SIDE), fill="#a98c6a")
    draw.ellipse((200, 120, 270, 210), outline="#b23a3a", width=16)
    draw.rounded_rectangle((90, 95, 225, 260), radius=26, fill="#cf4a4a")
    draw.ellipse((90, 78, 225, 118), fill="#f3e9e0")
    draw.ellipse((100, 84, 215, 112), fill="#4a2c1a")
    return image


def _paper(colour: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (_SIDE, _SIDE), colour)
    return image, ImageDraw.Draw(image)

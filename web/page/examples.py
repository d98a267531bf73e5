"""Photos to try without one of one's own; `static/EXAMPLES.md` says where they come from."""

import functools
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from catdog.images.decode import decode_image, read_image, to_jpeg

_STATIC = Path(__file__).with_name("static")
_SIDE = 640
_THUMBNAIL_SIDE = 144  # shown at half of it: sharp on phones
OURS = ("cat", "dog", "cup")
"""Those that are part of this repository."""
EXAMPLE_PATH = "/page/example/"
_OF_LABELS = ("cat", "dog")
_LION = Path("media_assets", "images", "lion.jpg")


class Examples:
    """The examples by name. The lion is Gradio's: where its package has none, it is left out."""

    def __init__(self) -> None:
        self._paths = {name: _STATIC / f"example-{name}.jpg" for name in OURS}
        found = find_spec("gradio")  # importing it takes seconds
        for folder in (found and found.submodule_search_locations) or ():
            if (lion := Path(folder) / _LION).is_file():
                self._paths["lion"] = lion

    def names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """In the order of the page; those of a label only if the model has it."""
        return tuple(name for name in self._paths if name not in _OF_LABELS or name in labels)

    @functools.cache  # noqa: B019 - lives as long as the app
    def thumbnail(self, name: str) -> bytes | None:
        """An example as a small JPEG, None if there is none of that name."""
        picture = self.picture(name)
        return to_jpeg(decode_image(picture), max_side=_THUMBNAIL_SIDE, quality=75) if picture else None

    @functools.cache  # noqa: B019 - lives as long as the app
    def picture(self, name: str) -> bytes | None:
        """An example as a JPEG, None if there is none of that name."""
        path = self._paths.get(name)
        if path is None:
            return None
        return path.read_bytes() if name in OURS else to_jpeg(read_image(path), max_side=_SIDE)

"""Pictures with captions as one HTML page: for looking, on this machine. It holds the pictures: never publish it."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from train.data.examples import map_rows
from train.data.source import Source

_SIDE = 220
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1b1b1b }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1rem }
figure { margin: 0 } figure img { width: 100%; border-radius: 4px } figcaption { font-size: 13px }
table { border-collapse: collapse } th, td { padding: .2rem .7rem; border-bottom: 1px solid #ccc; text-align: right }
th:first-child, td:first-child { text-align: left } .plots img { width: 30rem; max-width: 100% }
"""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One picture of a gallery."""

    row: int
    """In the source."""
    caption: str


def page(title: str, *parts: str) -> str:
    """An HTML page; `parts` are HTML, the title is text."""
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f"<!doctype html>{head}<h1>{html.escape(title)}</h1>\n" + "\n".join(parts) + "\n"


def gallery(source: Source, exhibits: Sequence[Exhibit]) -> str:
    """The pictures as HTML, each within the page itself, at most 220 pixels wide and high."""
    images = map_rows(source, lambda _, image: _inline(image), [each.row for each in exhibits])
    figures = (
        f'<figure><img src="{image}" alt=""><figcaption>{html.escape(each.caption)}</figcaption></figure>'
        for image, each in zip(images, exhibits, strict=True)
    )
    return "<main>" + "\n".join(figures) + "</main>"


def write_page(path: Path, text: str) -> None:
    """Write a page; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _inline(image: Image.Image) -> str:
    small = image.copy()
    small.thumbnail((_SIDE, _SIDE))
    data = io.BytesIO()
    small.save(data, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()

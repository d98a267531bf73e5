"""`python -m demo.icons`: a kind of picture that nobody made for us, drawings of cats and dogs by many hands.

The npm package `@iconify/json` has hundreds of free icon and emoji sets. What is named a cat or a dog in them, and
nothing else, is drawn 256 pixels square on white: in one folder what people send, in the other, by other authors, what
nobody sends. Each has a folder per label. The pictures keep their authors' licences, which `licences.csv` names.

    npm pack @iconify/json && tar xzf iconify-json-*.tgz && python -m demo.icons package --out icons
    python -m demo.loop_value --kinds asis --other icons/sent --held-back icons/held-back --work DIR
"""

import argparse
import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import sync_playwright

from catdog.cli import run
from catdog.errors import DataError, SettingsError
from demo.people import BROWSER_FLAGS, find_browser

SENT, HELD_BACK = "sent", "held-back"
_SIDE, _MARGIN = 256, 24
_LABELS = {"cat": {"cat", "kitten"}, "dog": {"dog", "puppy", "poodle", "labrador"}}
_KNOWN = """
face head body big small side sitting jumping sniffing animal animals pet nature ecology canine felyne emoji tears of
joy wry smile smiling crying grinning kissing pouting weary black guide service disability
filled fill line linear bold regular thin light duotone outline solid broken flat remix alt
"""
"""Other words that may stand in a name: what the animal does, and how it is drawn. A hot dog is not a dog."""
_THINGS = frozenset(
    ("eyes", "heart", "collar", "harness", "leash", "whistle", "droplet", "question", "exclamation", "mark", "point")
)
_JOINING = frozenset(("with", "and", "wearing", "on"))
"""A cat with smiling eyes is a cat, and a dog wearing a harness a dog; cat eyes and a dog harness are neither."""
_NO_PICTURES = ("Logos", "Programming")
"""Categories of sets in which a husky is a tool."""


@dataclass(frozen=True, slots=True)
class Icon:
    """A drawing of a cat or a dog."""

    label: str
    set: str
    name: str
    author: str
    licence: str
    svg: str


def main(argv: Sequence[str]) -> int:
    """Draw all icons into two folders."""
    parser = argparse.ArgumentParser(prog="python -m demo.icons", description=__doc__)
    parser.add_argument("package", type=Path, help="folder of the npm package @iconify/json")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the two folders are made")
    arguments = parser.parse_args(argv)
    icons = list(find_icons(arguments.package))
    sides = halves(icons)
    counts = Counter((sides[icon.author], icon.label) for icon in icons)
    if missing := [f"{label} in {side}" for side in (SENT, HELD_BACK) for label in _LABELS if not counts[side, label]]:
        raise DataError(f"There are too few icons in {arguments.package}: no {', no '.join(missing)}.")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise SettingsError(f"{arguments.out} is a file. Choose another --out.") from None
    if any(arguments.out.iterdir()):
        raise SettingsError(f"{arguments.out} is not empty. Choose another --out.")
    _draw(icons, [arguments.out / sides[icon.author] / icon.label / f"{icon.set}_{icon.name}.png" for icon in icons])
    with (arguments.out / "licences.csv").open("w", newline="") as file:
        rows = sorted({(icon.set, icon.author, icon.licence) for icon in icons})
        csv.writer(file).writerows([("set", "author", "licence"), *rows])
    print(", ".join(f"{side}: {counts[side, 'cat']} cats, {counts[side, 'dog']} dogs" for side in (SENT, HELD_BACK)))
    return 0


def find_icons(package: Path) -> Iterator[Icon]:
    """What is named a cat or a dog in the icon sets.

    Raises:
        DataError: these are no icon sets.
    """
    try:
        about = json.loads((package / "collections.json").read_text())
        sets = [
            (prefix, each, json.loads((package / "json" / f"{prefix}.json").read_text()))
            for prefix, each in about.items()
            if each.get("category") not in _NO_PICTURES
        ]
    except FileNotFoundError as error:
        raise DataError(f"{package} is not the package @iconify/json: it has no {Path(error.filename).name}.") from None
    for prefix, set_, icons in sets:
        for name, icon in icons["icons"].items():
            if label := _label(name):
                author, licence = set_["author"]["name"], set_["license"]["title"]
                yield Icon(label, prefix, name, author, licence, _svg(icons | icon))


def _label(name: str) -> str | None:
    """What a name says is shown: one of the labels and nothing else, or None."""
    words = {word for word in re.split(r"[-_\d]+", name) if word}
    shown = [label for label, called in _LABELS.items() if words & called]
    if len(shown) != 1 or (words & _THINGS and not words & _JOINING):
        return None
    return shown[0] if words <= {*_KNOWN.split(), *_JOINING, *_THINGS, *_LABELS[shown[0]]} else None


def _svg(icon: dict[str, object]) -> str:
    """Sizes are the icon's own, its set's, or 16."""
    measures = (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    box, side = " ".join(str(icon.get(name, usual)) for name, usual in measures), _SIDE - 2 * _MARGIN
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{side}" height="{side}">'
    return f"{opening}{icon['body']}</svg>"


def halves(icons: Sequence[Icon]) -> dict[str, str]:
    """Which folder each author's icons are for: about as many in either, no author in both."""
    count, sides = Counter[str](), dict[str, str]()
    for author, icons_of in Counter(icon.author for icon in icons).most_common():
        sides[author] = min((SENT, HELD_BACK), key=lambda side: count[side])
        count[sides[author]] += icons_of
    return sides


def _draw(icons: Sequence[Icon], paths: Sequence[Path]) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(playwright), args=[*BROWSER_FLAGS])
        page = browser.new_page(viewport={"width": _SIDE, "height": _SIDE}, java_script_enabled=False)
        for icon, path in zip(icons, paths, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            page.set_content(f'<body style="margin:{_MARGIN}px; background:white; color:#222">{icon.svg}')
            page.screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    sys.exit(run(main))

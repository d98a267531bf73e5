"""Drawings of cats and dogs, from icon sets."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catdog.errors import DataError, SettingsError
from demo.icons import HELD_BACK, SENT, find_icons, halves, main
from tests.conftest import missing_tool

SQUARE = '<path fill="currentColor" d="M0 0h24v24H0z"/>'


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Three sets by two authors, and one of logos."""
    sets = {
        "first": (
            "One",
            "Emoji",
            ["cat-face", "dog", "hot-dog", "cat-and-dog", "house", "dog-harness", "dog-wearing-harness"],
        ),
        "second": ("One", None, ["poodle"]),
        "third": ("Two", "UI 24px", ["kitten-2", "dog-filled"]),
        "tools": ("Three", "Logos", ["dog"]),
    }
    (tmp_path / "json").mkdir()
    about = {}
    for prefix, (author, category, names) in sets.items():
        about[prefix] = {"author": {"name": author}, "license": {"title": "MIT"}, "category": category}
        icons = {"width": 24, "height": 24, "icons": {name: {"body": SQUARE} for name in names}}
        (tmp_path / "json" / f"{prefix}.json").write_text(json.dumps(icons))
    (tmp_path / "collections.json").write_text(json.dumps(about))
    return tmp_path


def test_what_is_named_a_cat_or_a_dog_and_nothing_else_is_found(package: Path) -> None:
    found = [(icon.set, icon.name, icon.label) for icon in find_icons(package)]
    assert found == [
        ("first", "cat-face", "cat"), ("first", "dog", "dog"), ("first", "dog-wearing-harness", "dog"), ("second", "poodle", "dog"),
        ("third", "kitten-2", "cat"), ("third", "dog-filled", "dog"),
    ]  # fmt: skip


def test_nobody_sends_a_drawing_by_an_author_whose_others_are_held_back(package: Path) -> None:
    assert halves(list(find_icons(package))) == {"One": SENT, "Two": HELD_BACK}


@pytest.mark.browser
def test_they_are_drawn_in_a_folder_for_each_half_and_label(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    try:
        assert main([str(package), "--out", str(out)]) == 0
    except SettingsError:
        missing_tool("no Chromium")
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.png")) == [
        "held-back/cat/third_kitten-2.png", "held-back/dog/third_dog-filled.png", "sent/cat/first_cat-face.png",
        "sent/dog/first_dog-wearing-harness.png", "sent/dog/first_dog.png", "sent/dog/second_poodle.png",
    ]  # fmt: skip
    drawn = np.asarray(Image.open(out / "sent/dog/first_dog.png").convert("L"))
    assert drawn.shape == (256, 256)
    assert drawn[0, 0] == 255
    assert drawn[128, 128] < 64
    assert "first,One,MIT" in (out / "licences.csv").read_text()


def test_what_is_no_icon_package_or_lacks_a_label_is_said_and_nothing_is_written(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (package / "json" / "third.json").unlink()
    with pytest.raises(DataError, match="is not the package @iconify/json: it has no third"):
        main([str(package), "--out", str(out)])
    (package / "json" / "third.json").write_text('{"icons": {"dog": {"body": ""}}}')
    with pytest.raises(DataError, match="no cat in held-back"):
        main([str(package), "--out", str(out)])
    assert not out.exists()


def test_nothing_is_drawn_among_other_files(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.png").touch()
    with pytest.raises(SettingsError, match="is not empty"):
        main([str(package), "--out", str(out)])
    assert [path.name for path in out.iterdir()] == ["mine.png"]

"""The embedded model says in words that a picture shows neither a cat nor a dog."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from catdog.images.decode import read_image
from catdog.model.metadata import load_metadata
from catdog.model.model import Model
from catdog.settings import EMBEDDED_MODEL
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(
    load_metadata(EMBEDDED_MODEL).verdict.neither is None, reason="the embedded model has no rule for `neither`"
)


def shipped(name: str) -> Path:
    """A picture that Gradio brings."""
    found = find_spec("gradio")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "media_assets" / "images" / name


@pytest.mark.parametrize("name", ["cheetah.jpg", "groot.jpeg", "tower.jpg"])
def test_other_things_are_neither(name: str) -> None:
    assert Model.load(EMBEDDED_MODEL).predict(read_image(shipped(name))).verdict == "neither"


def test_the_command_line_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "catdog", "predict", str(shipped("cheetah.jpg"))],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "neither" in done.stdout

"""The whole loop in its short form, and what the story does when something does not hold."""

import subprocess
import sys
from pathlib import Path

import pytest

from catdog.errors import DataError
from catdog.images.decode import decode_image as decoded
from catdog.images.phash import group_near_duplicates, pack, phash
from demo.narrator import BrokenClaimError, Narrator
from demo.pictures import SHAPES, Counts, generated, real_photos, write_folder
from demo.processes import Shell
from tests.conftest import ROOT

TINY = Counts(data=3, stream=2, fresh=1, ordinary=1)


def story(*options: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "demo", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def shell(tmp_path: Path) -> Shell:
    return Shell(Narrator(), tmp_path, {})


def test_the_loop_closes_and_lies_are_refused(tmp_path: Path) -> None:
    done = story("--generated", "--no-browser", "--work", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "published as v2" in done.stdout
    assert "REFUSED" in done.stdout
    assert " claims held" in done.stdout


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = story("--generated", "--work", tmp_path)
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_claim_that_does_not_hold_ends_the_story(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator()
    narrator.claim("water is wet", held=True)
    with pytest.raises(BrokenClaimError, match="pigs fly"):
        narrator.claim("pigs fly", held=False)
    assert narrator.claims == 1
    assert "NO  pigs fly" in capsys.readouterr().out


def test_a_command_that_ends_with_another_code_breaks_its_claim(tmp_path: Path) -> None:
    with pytest.raises(BrokenClaimError, match="exit code 3"):
        shell(tmp_path).run("catdog", "predict", expected=3)


def test_a_server_that_does_not_start_is_told_with_its_words(tmp_path: Path) -> None:
    with (
        pytest.raises(BrokenClaimError, match="CATDOG_PORT"),
        shell(tmp_path).serving("app", "app.py", ready="Ready on (.+)", CATDOG_PORT="many"),
    ):
        pass


def test_no_picture_is_in_two_parts() -> None:
    material = generated(TINY)
    photos = [*material.data, *material.stream, *material.fresh, *material.ordinary]
    assert len(photos) == TINY.total * len(material.labels)
    hashes = pack([phash(decoded(photo.data)) for photo in photos])
    assert len(set(group_near_duplicates(hashes).tolist())) == len(photos)


def test_real_photos_are_dealt_by_label_and_the_new_kind_is_dark_and_grey(tmp_path: Path) -> None:
    write_folder(tmp_path, generated(SHAPES).data)
    material = real_photos(str(tmp_path), TINY)
    assert material.labels == ("amber", "jade", "plum")
    assert [photo.label for photo in material.stream] == [*material.labels] * TINY.stream
    for photo in material.stream:
        image = decoded(photo.data)
        assert max(high for _, high in image.getextrema()) < 70
        assert image.convert("HSV").getextrema()[1][1] < 20


def test_too_few_photos_are_explained(tmp_path: Path) -> None:
    write_folder(tmp_path, generated(TINY).data)
    with pytest.raises(DataError, match="fewer than 7 pictures"):
        real_photos(str(tmp_path), TINY)

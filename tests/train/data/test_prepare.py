import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catdog.errors import DataError, SettingsError
from tests.conftest import ROOT
from tests.train.pictures import LABELS, picture, write_folder
from train.data.examples import read_examples
from train.data.prepare import prepare, shrink
from train.data.source import ORIGIN_FILE, open_source
from train.data.splits import divide, read_manifest


def test_a_copy_is_read_as_the_original_is(folder: Path, tmp_path: Path) -> None:
    done = prepare(str(folder), tmp_path / "copy", side=256, seed=1)
    original, copy = read_examples(open_source(str(folder))), read_examples(open_source(str(tmp_path / "copy")))
    assert (done.rows, done.unreadable, done.smaller) == (61, 1, 0)
    assert copy.source.labels == LABELS
    assert copy.source.title == original.source.title == "tints"
    assert copy.digest == original.digest, "small pictures keep their bytes"
    assert copy.skipped == original.skipped, "the unreadable file is there for the audit"


def test_the_manifest_is_the_split_that_training_would_make(folder: Path, tmp_path: Path) -> None:
    done = prepare(str(folder), tmp_path / "copy", seed=1)
    data = divide(read_examples(open_source(str(folder))), seed=1)
    assert done.splits == data.counts
    manifest = read_manifest(tmp_path / "copy" / "splits.csv")
    for digest, split in zip(data.examples.hashes, data.splits, strict=True):
        assert manifest[digest.tobytes().hex()] == split


def test_pictures_that_an_earlier_model_knew_keep_their_split(folder: Path, tmp_path: Path) -> None:
    prepare(str(folder), tmp_path / "first", seed=1)
    prepare(str(folder), tmp_path / "other", seed=2)
    prepare(str(folder), tmp_path / "kept", seed=2, splits=tmp_path / "first" / "splits.csv")
    first, other, kept = (read_manifest(tmp_path / name / "splits.csv") for name in ("first", "other", "kept"))
    assert kept == first != other


def test_large_pictures_are_made_smaller_and_hashed_as_they_then_are(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", LABELS[:2], count=3)
    picture("amber", 50, (400, 90)).save(folder / "amber" / "wide.png")
    done = prepare(str(folder), tmp_path / "copy", side=40)
    examples = read_examples(open_source(str(tmp_path / "copy")))
    assert done.smaller == len(examples) == 7
    assert max(examples.aspects) == pytest.approx(400 / 90, rel=0.02)
    known = read_manifest(tmp_path / "copy" / "splits.csv")
    assert {row.tobytes().hex() for row in examples.hashes} == set(known)


@pytest.mark.parametrize(("size", "expected"), [((300, 200), (150, 100)), ((100, 900), (100, 900)), ((1, 5), (1, 5))])
def test_the_shorter_side_is_what_counts(size: tuple[int, int], expected: tuple[int, int]) -> None:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).save(file, "PNG")
    data, image = shrink(file.getvalue(), 100)
    assert image.size == expected
    assert (data == file.getvalue()) == (size == expected)


def test_the_hub_commit_goes_with_a_copy(folder: Path, tmp_path: Path) -> None:
    prepare(str(folder), tmp_path / "copy")
    path = tmp_path / "copy" / ORIGIN_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": "USER/PETS", "revision": "c0ffee"}))
    source = open_source(str(tmp_path / "copy"))
    assert (source.title, source.revision) == ("USER/PETS", "c0ffee")
    path.write_text("{}")
    with pytest.raises(DataError, match=ORIGIN_FILE):
        open_source(str(tmp_path / "copy"))


def test_nothing_readable_is_an_error_and_leaves_no_copy(tmp_path: Path) -> None:
    for label in LABELS:
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "a.jpg").write_text("no picture")
    with pytest.raises(DataError, match="no readable picture"):
        prepare(str(tmp_path / "data"), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_folder_that_exists_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="exists already"):
        prepare(str(folder), tmp_path)


@pytest.mark.parametrize("out", ["/proc/x", "/dev/null/x"])
def test_a_folder_that_cannot_be_made_is_a_wrong_setting(folder: Path, out: str) -> None:
    with pytest.raises(SettingsError, match="cannot be written"):
        prepare(str(folder), Path(out))


def test_a_full_disk_is_explained_and_leaves_no_copy(folder: Path, tmp_path: Path) -> None:
    code = f"""
import resource, sys, runpy
import train.data.prepare
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.argv = ["train", "prepare", "--data", {str(folder)!r}, "--out", {str(tmp_path / "copy")!r}]
runpy.run_module("train", run_name="__main__")
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    assert "The disk is full" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "copy").exists()

"""Corrected labels that travel without pictures."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catdog.errors import DataError, SettingsError
from catdog.model.metadata import load_metadata
from tests.toy import toy_model
from tests.train.pictures import LABELS, write_folder
from train.data.examples import Examples, read_examples
from train.data.overlay import Reviewed, Verdict, clean_labels, read_overlay, write_overlay
from train.data.source import open_source
from train.data.splits import divide
from train.evaluation.evaluate import evaluate
from train.fit import fit
from train.options import PROBE, FitOptions


def reviewed(examples: Examples, index: int, verdict: Verdict, label: str = "") -> Reviewed:
    return Reviewed(examples.digests[index], examples.hashes[index].tobytes().hex(), verdict, label, "looked at")


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    return read_examples(open_source(str(write_folder(tmp_path / "data", count=12))))


def test_wrong_labels_are_replaced_and_pictures_without_one_label_are_left_out(
    examples: Examples, tmp_path: Path
) -> None:
    rows = (
        reviewed(examples, 0, "wrong", "plum"),
        reviewed(examples, 1, "unanswerable"),
        reviewed(examples, 2, "both"),
        reviewed(examples, 3, "right"),
    )
    write_overlay(tmp_path / "overlay.csv", rows)
    clean = clean_labels(examples, read_overlay(tmp_path / "overlay.csv"))
    assert clean.labels[0] == LABELS.index("plum")
    assert clean.labels[1:].tolist() == examples.labels[1:].tolist()
    assert np.flatnonzero(~clean.kept).tolist() == [1, 2]
    assert (clean.relabelled, clean.dropped) == (1, 2)


def test_a_copy_of_another_size_is_recognised(examples: Examples, tmp_path: Path) -> None:
    write_overlay(tmp_path / "overlay.csv", (reviewed(examples, 0, "unanswerable"),))
    path = tmp_path / "data" / "amber" / "0.png"
    Image.open(path).resize((440, 600), Image.Resampling.BICUBIC).save(path)
    larger = read_examples(open_source(str(tmp_path / "data")))
    assert larger.digests[0] != examples.digests[0]
    assert np.flatnonzero(~clean_labels(larger, read_overlay(tmp_path / "overlay.csv")).kept).tolist() == [0]


def test_training_sees_the_corrections_and_the_test_split_stays_as_it_was(examples: Examples, tmp_path: Path) -> None:
    raw = divide(examples, seed=0)
    train, test = raw.members("train")[0], raw.members("test")[0]
    write_overlay(
        tmp_path / "overlay.csv", (reviewed(examples, train, "both"), reviewed(examples, test, "unanswerable"))
    )
    clean = divide(examples, seed=0, overlay=read_overlay(tmp_path / "overlay.csv"))
    assert train not in clean.members("train")
    assert test in clean.members("test")
    assert len(clean.members("train")) == len(raw.members("train")) - 1
    assert clean.splits.tolist() == raw.splits.tolist()


def test_training_learns_the_corrected_labels(examples: Examples, tmp_path: Path) -> None:
    raw = divide(examples, seed=0)
    train = next(index for index in raw.members("train") if examples.labels[index] == 0)
    write_overlay(tmp_path / "overlay.csv", (reviewed(examples, train, "wrong", "plum"),))
    clean = divide(examples, seed=0, overlay=read_overlay(tmp_path / "overlay.csv"))
    assert clean.training_labels[train] == LABELS.index("plum")
    assert int((clean.labels("train") != raw.labels("train")).sum()) == 1


def test_raw_and_clean_scores_stand_side_by_side(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for channel, colour in ((0, "red"), (2, "blue")):
        (data / colour).mkdir(parents=True)
        for seed in range(3):
            pixels = np.random.default_rng([channel, seed]).integers(0, 90, (16, 16, 3), dtype=np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(data / colour / f"{seed}.png")
    (data / "blue" / "2.png").rename(data / "red" / "wrong.png")
    examples = read_examples(open_source(str(data)))
    wrong = hashlib.sha256((data / "red" / "wrong.png").read_bytes()).hexdigest()
    row = reviewed(examples, examples.digests.index(wrong), "wrong", "blue")
    write_overlay(tmp_path / "overlay.csv", (row,))
    overlay = read_overlay(tmp_path / "overlay.csv")
    metrics = evaluate(toy_model(tmp_path / "toy"), str(data), overlay=overlay)
    assert metrics["accuracy"] == pytest.approx(5 / 6)
    assert metrics["clean"]["accuracy"] == 1
    assert metrics["clean"]["overlay"]["relabelled"] == 1
    assert metrics["clean"]["overlay"]["sha256"] == overlay.sha256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column"),
        ("image_sha256,image_phash,verdict,label,reason\nzz,00,wrong,cat,x\n", "line 2"),
        (f"image_sha256,image_phash,verdict,label,reason\n{'0' * 64},{'0' * 64},wrong,,x\n", "line 2: a label belongs"),
        (f"image_sha256,image_phash,verdict,label,reason\n{'0' * 64},{'0' * 64},odd,,x\n", "the verdict is none of"),
        (f"image_sha256,image_phash,verdict,label,reason\n{'0' * 64},{'0' * 64},both\n", "^$"),
    ],
)
def test_a_file_that_is_no_overlay_is_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "overlay.csv").write_text(text)
    if message == "^$":  # columns may be left out at the end of a line
        assert read_overlay(tmp_path / "overlay.csv").reviewed[0].reason == ""
        return
    with pytest.raises(DataError, match=message):
        read_overlay(tmp_path / "overlay.csv")


def test_a_missing_overlay_and_a_strange_label_are_explained(examples: Examples, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_overlay(tmp_path / "none.csv")
    row = replace(reviewed(examples, 0, "wrong", "plum"), label="turquoise")
    write_overlay(tmp_path / "overlay.csv", (row,))
    with pytest.raises(DataError, match="turquoise"):
        clean_labels(examples, read_overlay(tmp_path / "overlay.csv"))


def test_a_picture_that_stands_there_twice_is_refused(examples: Examples, tmp_path: Path) -> None:
    rows = (reviewed(examples, 0, "both"), reviewed(examples, 0, "right"))
    write_overlay(tmp_path / "overlay.csv", rows)
    with pytest.raises(DataError, match="repeat"):
        read_overlay(tmp_path / "overlay.csv")


def test_a_fit_notes_what_the_overlay_did_and_scores_the_test_split_both_ways(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", count=12)
    examples = read_examples(open_source(str(data)))
    splits = divide(examples, seed=0)
    train, test = splits.members("train")[0], splits.members("test")[0]
    write_overlay(
        tmp_path / "overlay.csv", (reviewed(examples, train, "both"), reviewed(examples, test, "unanswerable"))
    )
    run = FitOptions(
        data=str(data), init="random", out=tmp_path / "run", recipe=PROBE, architecture="mobilenetv3_small_050",
        img_size=32, overlay=tmp_path / "overlay.csv",
    )  # fmt: skip
    metadata = load_metadata(fit(run))
    assert metadata.training["overlay"]["dropped"] == 2
    assert metadata.training["splits"]["train"] == len(splits.members("train")) - 1
    assert metadata.metrics["test"]["n"] == len(splits.members("test"))
    assert metadata.metrics["test_clean"]["n"] == len(splits.members("test")) - 1
    assert "Labels corrected in training and validation by `overlay.csv`" in (run.out / "README.md").read_text()

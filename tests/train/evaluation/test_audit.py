"""What is wrong with a data set before anything is trained on it."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catdog.errors import DataError
from tests.train.pictures import LABELS, picture, write_folder
from train.data.examples import Examples, read_examples
from train.data.overlay import Overlay, Reviewed
from train.data.source import open_source
from train.evaluation.audit import audit, cross_validate, examine, find_suspects, precision
from train.network.features import Frozen, frozen_features


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twenty pictures of each label, of which one plum is said to be amber, one jade is there twice, once as plum."""
    folder = write_folder(tmp_path / "data")
    picture("plum", 900).save(folder / "amber" / "wrong.png")
    copy = Image.open(folder / "jade" / "3.png").resize((120, 88))
    copy.save(folder / "plum" / "copy.png")
    (folder / "jade" / "again.png").write_bytes((folder / "jade" / "4.png").read_bytes())
    (folder / "jade" / "broken.png").write_bytes(b"no picture")
    return folder


def colours(examples: Examples, data: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Features that tell the tints apart: the mean colour."""
    found = read_examples(open_source(str(data)), side=4)
    assert found.digests == examples.digests
    return found.squares.reshape(len(found), 3, 16).mean(axis=2).astype(np.float32)


def test_a_wrong_label_is_the_first_suspect(data: Path) -> None:
    examples = read_examples(open_source(str(data)))
    found = examine(examples, colours(examples, data))
    first = [(each.given, each.suggested) for each in found.suspects]
    assert ("amber", "plum") in first[:2]
    assert ("plum", "jade") in first[:2]
    assert [each.rank for each in found.suspects] == list(range(1, len(found.suspects) + 1))
    assert found.accuracy > 0.9


def test_copies_and_contradictions_are_found(data: Path) -> None:
    examples = read_examples(open_source(str(data)))
    found = examine(examples, colours(examples, data))
    assert [group.labels for group in found.exact] == [("jade", "jade")]
    assert sorted(group.labels for group in found.near) == [("jade", "jade"), ("jade", "plum")]
    assert [group.labels for group in found.near if group.contradicts] == [("jade", "plum")]
    assert len(found.unreadable) == 1


def test_a_picture_is_never_judged_by_a_model_that_saw_a_copy() -> None:
    """Each picture is there twice with features that nothing else has; its own copy would give the label away."""
    features = np.repeat(np.eye(40, dtype=np.float32), 2, axis=0)
    labels = np.repeat(np.arange(40) % 2, 2)
    groups = np.repeat(np.arange(40), 2)
    judged = cross_validate(features, labels, groups).argmax(axis=1) == labels
    leaking = cross_validate(features, labels, np.arange(80)).argmax(axis=1) == labels
    assert leaking.mean() > 0.8
    assert judged.mean() < 0.7


def test_precision_counts_what_a_person_found(data: Path) -> None:
    examples = read_examples(open_source(str(data)))
    probabilities = np.full((len(examples), 3), 0.05)
    probabilities[np.arange(len(examples)), examples.labels] = 0.9
    for index in (0, 1, 2):
        probabilities[index] = np.roll(probabilities[index], 1)
    suspects = find_suspects(examples, probabilities)
    assert len(suspects) == 3
    rows = [
        Reviewed(each.image_sha256, each.image_phash, verdict, "", "")
        for each, verdict in zip(suspects, ("both", "right"), strict=False)
    ]
    found = precision(suspects, Overlay("overlay.csv", "0" * 64, tuple(rows)))
    assert (found["looked_at"], found["precision"]) == (2, 0.5)
    assert found["verdicts"] == {"both": 1, "right": 1}


def test_too_few_pictures_of_a_label_are_explained(tmp_path: Path) -> None:
    examples = read_examples(open_source(str(write_folder(tmp_path / "data", count=3))))
    with pytest.raises(DataError, match="too few to cross-validate"):
        examine(examples, np.zeros((9, 2), dtype=np.float32))


def test_the_audit_writes_its_lists_and_keeps_the_features(data: Path, tmp_path: Path) -> None:
    frozen = Frozen("random", "mobilenetv3_small_050", 48)
    result = audit(str(data), frozen, tmp_path / "audit")
    assert json.loads((tmp_path / "audit" / "audit.json").read_text()) == json.loads(json.dumps(result))
    assert result["n"] == 63
    assert result["unreadable"] == 1
    with (tmp_path / "audit" / "suspects.csv").open() as file:
        suspects = list(csv.DictReader(file))
    assert len(suspects) == result["suspects"]
    assert {each["given"] for each in suspects} <= set(LABELS)
    assert "<figure>" in (tmp_path / "audit" / "suspects.html").read_text() or not suspects
    assert "This image can't be read" in (tmp_path / "audit" / "unreadable.csv").read_text()
    examples = read_examples(open_source(str(data)))
    first = frozen_features(examples, frozen, cache=tmp_path / "audit" / "features.npz")
    again = frozen_features(examples, frozen, cache=tmp_path / "audit" / "features.npz")
    assert np.array_equal(first, again)  # random weights: only a cache gives the same twice
    (tmp_path / "audit" / "features.npz").write_bytes(b"PK cut short")
    assert not np.array_equal(first, frozen_features(examples, frozen, cache=tmp_path / "audit" / "features.npz"))

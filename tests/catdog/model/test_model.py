"""Loading a model folder and asking it."""

import base64
import json
import math
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from catdog.errors import ModelError
from catdog.model.metadata import (
    METADATA_FILE,
    ONNX_FILE,
    UNSURE,
    DriftReference,
    FileHash,
    Projection,
    Verdict,
    hash_file,
    load_metadata,
    possible_verdicts,
    write_metadata,
)
from catdog.model.model import Model
from catdog.model.preprocessing import preprocess
from tests.toy import picture, toy_model


def test_a_prediction_has_label_confidence_and_probabilities(tmp_path: Path) -> None:
    model = Model.load(toy_model(tmp_path / "m", ["cat", "dog", "rabbit"], positive_label="dog"))
    prediction = model.predict(picture("lime"))
    assert (prediction.label, prediction.verdict) == ("dog", "dog")
    assert prediction.labels == ("cat", "dog", "rabbit")
    assert math.isclose(sum(prediction.probabilities), 1.0)
    assert prediction.confidence == prediction.probability == prediction.probabilities[1] > 0.99
    assert prediction.model_id == "m"
    assert prediction.model_revision.startswith("local-")
    assert len(prediction.model_revision) == len("local-") + 12


def test_a_model_without_positive_label_gives_no_probability(tmp_path: Path) -> None:
    assert Model.load(toy_model(tmp_path / "m")).predict(picture()).probability is None


def test_the_verdict_follows_the_rules_of_the_metadata(tmp_path: Path) -> None:
    plain = Model.load(toy_model(tmp_path / "plain"))
    assert plain.predict(picture("white")).verdict in plain.labels
    ruled = Model.load(toy_model(tmp_path / "ruled", neither_above=0.9, unsure_below=0.8))
    assert ruled.predict(picture("white")).verdict == "neither"
    assert ruled.predict(picture("gray")).verdict == "unsure"
    assert ruled.predict(picture("red")).verdict == "red"


def test_many_threads_get_the_same_answers_as_one(tmp_path: Path) -> None:
    model = Model.load(toy_model(tmp_path / "m"))
    pictures = [picture((i, 255 - i, i // 2)) for i in range(200)]
    alone = [model.predict(p).probabilities for p in pictures]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda p: model.predict(p).probabilities, pictures)) == alone


def test_a_heat_map_adds_up_to_the_logit_and_features_come_alone(tmp_path: Path) -> None:
    model = Model.load(toy_model(tmp_path / "m"))
    assert model.explains
    heat = model.explain(picture("red"))
    assert heat.shape == (3, 4, 4)
    assert heat.sum(axis=(1, 2)) == pytest.approx([10, -10, -10], abs=0.1)
    pixels = preprocess(picture("red"), model.metadata.preprocessing)
    assert model.features([pixels, pixels]) == pytest.approx(np.array([[1, -1, -1]] * 2))


def only_logits(folder: Path) -> None:
    """Take the network's other outputs away."""
    network = onnx.load(folder / ONNX_FILE)
    del network.graph.output[1:]
    onnx.save(network, folder / ONNX_FILE)
    files = (FileHash(path=ONNX_FILE, sha256=hash_file(folder / ONNX_FILE)),)
    write_metadata(folder, load_metadata(folder).model_copy(update={"files": files}))


def test_a_network_with_logits_alone_says_that_it_cannot_explain(tmp_path: Path) -> None:
    only_logits(toy_model(tmp_path / "m"))
    model = Model.load(tmp_path / "m")
    assert not model.explains
    assert model.predict(picture("red")).label == "red"
    with pytest.raises(ModelError, match="no output named `heatmap`"):
        model.explain(picture("red"))
    with pytest.raises(ModelError, match="no output named `features`"):
        model.features([preprocess(picture("red"), model.metadata.preprocessing)])


def test_a_rule_without_the_score_that_it_asks_for_is_refused(tmp_path: Path) -> None:
    only_logits(toy_model(tmp_path / "m", neither_above=0.9))
    with pytest.raises(ModelError, match="no output named `neither_score`"):
        Model.load(tmp_path / "m")


def change_metadata(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        values = json.loads((folder / METADATA_FILE).read_text())
        (folder / METADATA_FILE).write_text(json.dumps(values | changes))

    return change


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no folder": shutil.rmtree,
    "no network": lambda folder: (folder / ONNX_FILE).unlink(),
    "changed network": lambda folder: (folder / ONNX_FILE).write_bytes((folder / ONNX_FILE).read_bytes() + b"x"),
    "cut metadata": lambda folder: (folder / METADATA_FILE).write_bytes((folder / METADATA_FILE).read_bytes()[:100]),
    "binary metadata": lambda folder: (folder / METADATA_FILE).write_bytes(b"\xff\xfe\x00"),
    "unlisted network": change_metadata(files=[]),
    "newer schema": change_metadata(schema_version=2),
    "one label too many": change_metadata(labels=["a", "b", "c", "d"]),
    "reserved label": change_metadata(labels=["a", "b", "neither"]),
    "twice the same label": change_metadata(labels=["a", "b", "a"]),
    "unknown positive label": change_metadata(positive_label="d"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_folder_is_refused_with_what_to_do(tmp_path: Path, what: str) -> None:
    folder = toy_model(tmp_path / "m")
    DAMAGE[what](folder)
    with pytest.raises(ModelError, match=r"(again|CATDOG_MODEL)"):
        Model.load(folder)


def test_a_network_that_does_not_fit_its_input_size_is_refused(tmp_path: Path) -> None:
    folder = toy_model(tmp_path / "m")
    metadata = load_metadata(folder)
    preprocessing = metadata.preprocessing.model_copy(update={"input_size": 48})
    write_metadata(folder, metadata.model_copy(update={"preprocessing": preprocessing}))
    with pytest.raises(ModelError, match="Export the model again"):
        Model.load(folder)


@pytest.mark.parametrize("features", [1, 2, 4])
def test_a_drift_projection_that_does_not_fit_the_features_is_refused(tmp_path: Path, features: int) -> None:
    folder = toy_model(tmp_path / "m")
    weights = base64.b64encode(np.ones((2, features), "<f2").tobytes()).decode()
    reference = DriftReference(n=1, properties={}, projection=Projection(weights=weights, offsets=(0, 0)))
    write_metadata(folder, load_metadata(folder).model_copy(update={"drift_reference": reference}))
    with pytest.raises(ModelError, match=f"projection takes {features} features.*Export the model again"):
        Model.load(folder)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x07\x12"])
def test_a_file_that_is_no_network_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = toy_model(tmp_path / "m")
    (folder / ONNX_FILE).write_bytes(content)
    listed = (FileHash(path=ONNX_FILE, sha256=hash_file(folder / ONNX_FILE)),)
    write_metadata(folder, load_metadata(folder).model_copy(update={"files": listed}))
    with pytest.raises(ModelError, match="Export the model again"):
        Model.load(folder)


def test_a_verdict_says_what_follows_from_it() -> None:
    labels = ("cat", "dog")
    assert [(each, each.kind, each.is_label, each.is_confirmable) for each in possible_verdicts(labels)] == [
        ("cat", "label", True, True),
        ("dog", "label", True, True),
        ("neither", "neither", False, True),
        ("unsure", "unsure", False, False),
    ]
    assert Verdict("cat").corrections(labels) == ("dog", "neither", "unsure")
    assert UNSURE.corrections(labels) == ("cat", "dog", "neither", "unsure")
    assert json.dumps({"verdict": Verdict("cat")}) == '{"verdict": "cat"}'

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import HfApi
from PIL import Image

from catdog.errors import DataError, ModelError, SettingsError
from catdog.model.metadata import load_metadata
from devhub.server import Running
from tests.conftest import ROOT
from tests.toy import toy_model
from tests.train.pictures import LABELS, picture, write_folder
from train.__main__ import main
from train.data.splits import read_manifest
from train.evaluation.evaluate import evaluate


def coloured(folder: Path, count: int = 4) -> Path:
    """Pictures whose label is what the toy model says."""
    for index, label in enumerate(("red", "green", "blue")):
        (folder / label).mkdir(parents=True)
        for seed in range(count):
            pixels = np.random.default_rng([index, seed]).integers(0, 90, (10, 12, 3), dtype=np.uint8)
            pixels[..., index] += 120
            Image.fromarray(pixels).resize((60, 50)).save(folder / label / f"{seed}.png")
    return folder


def test_metrics_of_a_model_that_is_right(tmp_path: Path) -> None:
    metrics = evaluate(toy_model(tmp_path / "toy"), str(coloured(tmp_path / "data")))
    assert metrics["n"] == 12
    assert metrics["accuracy"] == 1
    assert metrics["auc"] == 1
    assert metrics["confusion_matrix"] == [[4, 0, 0], [0, 4, 0], [0, 0, 4]]
    assert metrics["labels"] == ["red", "green", "blue"]
    assert metrics["model_revision"].startswith("local-")


def test_labels_are_matched_by_name(tmp_path: Path) -> None:
    data = coloured(tmp_path / "data")
    (data / "green").rename(tmp_path / "apart")
    metrics = evaluate(toy_model(tmp_path / "toy"), str(data))
    assert metrics["confusion_matrix"] == [[4, 0, 0], [0, 0, 0], [0, 0, 4]]
    assert metrics["auc"] is None


def test_verdicts_are_counted(tmp_path: Path) -> None:
    metrics = evaluate(toy_model(tmp_path / "toy", unsure_below=1.0), str(coloured(tmp_path / "data")))
    assert metrics["verdicts"] == {"answered": 0, "accuracy_when_answered": None, "neither": 0}


def test_a_label_that_the_model_does_not_know_is_named(tmp_path: Path) -> None:
    data = coloured(tmp_path / "data")
    (data / "blue").rename(data / "violet")
    with pytest.raises(DataError, match="violet"):
        evaluate(toy_model(tmp_path / "toy"), str(data))


def test_by_default_only_unseen_pictures_count(trained: Path, folder: Path) -> None:
    metrics = evaluate(trained, str(folder))
    assert metrics["n"] == 6
    assert metrics["left_out"] == {"train": 48, "validation": 6}
    assert metrics["data"]["skipped"] == 1
    assert evaluate(trained, str(folder), split="all")["n"] == 60
    assert evaluate(trained, str(folder), split="validation")["n"] == 6


def test_the_recorded_test_score_is_what_evaluate_finds(trained: Path, folder: Path) -> None:
    recorded = json.loads((trained / "metadata.json").read_text())["metrics"]["test"]
    found = evaluate(trained, str(folder), split="test")
    assert found["log_loss"] == pytest.approx(recorded["log_loss"])
    assert found["confusion_matrix"] == recorded["confusion_matrix"]


def test_near_copies_of_trained_pictures_do_not_count(trained: Path, tmp_path: Path) -> None:
    manifest = read_manifest(trained / "splits.csv")
    assert set(manifest.values()) == {"train", "validation", "test"}
    data = write_folder(tmp_path / "data", LABELS, count=2)
    for label in LABELS:
        picture(label, 0, (44, 60)).resize((88, 120)).save(data / label / "0.png")
        picture(label, 500).save(data / label / "1.png")
    metrics = evaluate(trained, str(data))
    assert metrics["n"] + sum(metrics["left_out"].values()) == 6
    assert metrics["n"] >= 3


def test_a_split_without_pictures_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no picture of the split"):
        evaluate(toy_model(tmp_path / "toy"), str(coloured(tmp_path / "data")), split="train")


def test_no_model_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        evaluate(tmp_path, str(coloured(tmp_path / "data")))


def test_the_command_prints_json_and_nothing_else_on_stdout(tmp_path: Path) -> None:
    out = tmp_path / "metrics.json"
    result = subprocess.run(
        [sys.executable, "-m", "train", "evaluate", "--model", str(toy_model(tmp_path / "toy")),
         "--data", str(coloured(tmp_path / "data")), "--out", str(out)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(result.stdout)["accuracy"] == 1
    assert json.loads(out.read_text()) == json.loads(result.stdout)


def test_a_hub_data_set_is_read_at_the_commit_that_is_reported(hub: Running, tmp_path: Path) -> None:
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo("me/colours", repo_type="dataset")
    commit = api.upload_folder(repo_id="me/colours", repo_type="dataset", folder_path=coloured(tmp_path / "data"))
    command = [sys.executable, "-m", "train", "evaluate", "--model", str(toy_model(tmp_path / "toy"))]
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token}
    for data, code in (("me/colours", 0), ("me/nothing", 1)):
        result = subprocess.run(
            [*command, "--data", data], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == code, result.stderr
        assert "Traceback" not in result.stderr
        if code:
            assert "error: " in result.stderr
            assert data in result.stderr
        else:
            metrics = json.loads(result.stdout)
            assert metrics["accuracy"] == 1
            assert metrics["data"]["revision"] == commit.oid


def test_pictures_in_their_true_shape_are_scored_squeezed_too(tmp_path: Path) -> None:
    metrics = evaluate(toy_model(tmp_path / "toy"), str(coloured(tmp_path / "data")))
    assert metrics["squeezed"]["n"] == 12
    assert metrics["squeezed"]["accuracy"] == 1


def test_squares_have_no_other_shape(tmp_path: Path) -> None:
    data = coloured(tmp_path / "data")
    for path in data.glob("*/*.png"):
        Image.open(path).resize((50, 50)).save(path)
    assert "squeezed" not in evaluate(toy_model(tmp_path / "toy"), str(data))


def test_figures_of_other_data_are_put_into_the_card(trained: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(trained, model)
    data = write_folder(tmp_path / "elsewhere", count=4)
    arguments = ["evaluate", "--model", str(model), "--data", str(data), "--split", "all", "--no-tracking"]
    assert main([*arguments, "--card-as", "elsewhere", "--looked-at", "2"]) == 0
    card = (model / "README.md").read_text()
    assert "| elsewhere | 12 |" in card
    assert "| the same, squeezed to squares | 12 |" in card
    assert "looked at twice" in card
    assert load_metadata(model).metrics["elsewhere"]["looked_at"] == 2
    with pytest.raises(SettingsError, match="--card-as test"):
        main([*arguments, "--card-as", "test"])

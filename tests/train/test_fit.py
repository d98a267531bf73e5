import csv
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from catdog.errors import DataError, ModelError, SettingsError, StoppedError
from catdog.model.metadata import hash_file, load_metadata
from catdog.model.model import Model, softmax
from catdog.model.preprocessing import preprocess
from tests.conftest import ROOT
from tests.train.pictures import LABELS, picture, write_folder
from train.fit import fit
from train.network.create import timm
from train.options import FitOptions


def test_a_run_becomes_a_complete_model_folder(trained: Path) -> None:
    found = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    assert found == {
        "README.md", "config.json", "metadata.json", "model.safetensors", "onnx/model.onnx", "splits.csv",
        *load_metadata(trained).metrics["stored"],
    }  # fmt: skip
    metadata = load_metadata(trained)
    assert {file.path for file in metadata.files} == found - {"metadata.json"}
    assert all(file.sha256 == hash_file(trained / file.path) for file in metadata.files)
    assert len({(trained / name).stat().st_mode for name in found}) == 1, "whoever may read one may read all"


def test_nothing_is_left_beside_it(trained: Path) -> None:
    assert [path.name for path in trained.parent.iterdir()] == [trained.name]


def test_the_metadata_say_where_the_model_comes_from(trained: Path, options: FitOptions) -> None:
    metadata = load_metadata(trained)
    assert metadata.labels == LABELS
    assert metadata.positive_label is None
    assert metadata.architecture == "mobilenetv3_small_050"
    assert metadata.preprocessing.input_size == 48
    assert metadata.seed == 1
    assert metadata.training["data"]["name"] == "tints"
    assert metadata.training["data"]["n"] == 60
    assert metadata.training["data"]["skipped"] == 1
    assert metadata.training["splits"] == {"train": 48, "validation": 6, "test": 6}
    assert [entry["epoch"] for entry in metadata.training["settings"]["history"]] == [1, 2]
    assert metadata.metrics["test"]["n"] == 6
    assert str(options.out.parent) not in (trained / "metadata.json").read_text()


def test_three_labels_are_served(trained: Path) -> None:
    prediction = Model.load(trained).predict(picture("plum", 99))
    assert prediction.labels == LABELS
    assert sum(prediction.probabilities) == pytest.approx(1)


@pytest.mark.parametrize("size", [(60, 44), (31, 200), (48, 48), (300, 299)])
def test_onnx_torch_and_timms_own_transform_agree(trained: Path, size: tuple[int, int]) -> None:
    model = Model.load(trained)
    network = timm.create_model(f"local-dir:{trained}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    image = picture("jade", 7, size)
    two_grey_levels = 2.01 / 255 / min(model.metadata.preprocessing.std)
    np.testing.assert_allclose(
        preprocess(image, model.metadata.preprocessing), transform(image).numpy(), rtol=0, atol=two_grey_levels
    )
    with torch.inference_mode():
        probabilities = softmax(network(transform(image)[None]).numpy())[0]
    assert model.predict(image).probabilities == pytest.approx(probabilities, abs=1e-3)
    assert network.pretrained_cfg["label_names"] == list(LABELS)


def test_the_manifest_names_every_picture_once(trained: Path) -> None:
    with (trained / "splits.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["phash"] for row in rows}) == len(rows) == 60


def test_two_labels_get_a_positive_one(tmp_path: Path, options: FitOptions) -> None:
    folder = write_folder(tmp_path / "data", LABELS[:2], count=12)
    out = fit(replace(options, data=str(folder), out=tmp_path / "run", recipe="probe"))
    metadata = load_metadata(out)
    assert metadata.positive_label == "jade"
    assert metadata.training["settings"].keys() == {"head"}
    assert Model.load(out).predict(picture("jade", 50)).probability is not None


def test_an_existing_folder_is_not_overwritten(tmp_path: Path, options: FitOptions) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(SettingsError, match="exists already"):
        fit(replace(options, out=tmp_path / "run"))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"positive_label": "teal"}, SettingsError, "none of the labels"),
        ({"architecture": "mobilenetv9"}, SettingsError, "--arch"),
        ({"init": "missing.safetensors"}, SettingsError, "no such file"),
        ({"init": "mobilenetv9_huge"}, SettingsError, "--init"),
        ({"data": "./missing"}, SettingsError, "no such folder"),
        ({"precision": "fp16"}, SettingsError, "--precision"),
    ],
)
def test_a_wrong_option_is_named(
    change: dict[str, str], error: type[Exception], words: str, options: FitOptions, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        fit(replace(options, out=tmp_path / "run", **change))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_weights_of_another_architecture_are_refused(tmp_path: Path, options: FitOptions, trained: Path) -> None:
    weights = str(trained / "model.safetensors")
    with pytest.raises(ModelError, match="does not fit"):
        fit(replace(options, init=weights, architecture="mobilenetv3_small_100", out=tmp_path / "run"))


def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, options: FitOptions) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(ModelError, match="not a readable safetensors"):
        fit(replace(options, init=str(tmp_path / "bad.safetensors"), out=tmp_path / "run"))


def test_a_label_without_a_readable_picture_is_named(tmp_path: Path, options: FitOptions) -> None:
    folder = write_folder(tmp_path / "data", LABELS[:2], count=4)
    (folder / "plum").mkdir()
    (folder / "plum" / "a.png").write_bytes(b"text")
    with pytest.raises(DataError, match="label plum"):
        fit(replace(options, data=str(folder), out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_too_few_pictures_for_one_batch_are_explained_before_anything_is_made(
    tmp_path: Path, options: FitOptions
) -> None:
    folder = write_folder(tmp_path / "data", LABELS[:2], count=4)
    with pytest.raises(DataError, match="--batch-size"):
        fit(replace(options, data=str(folder), out=tmp_path / "run"))
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_all_files_unreadable_is_an_error(
    tmp_path: Path, options: FitOptions, caplog: pytest.LogCaptureFixture
) -> None:
    for label in LABELS:
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "a.jpg").write_text("no picture")
    with caplog.at_level(logging.WARNING), pytest.raises(DataError, match="no readable picture"):
        fit(replace(options, data=str(tmp_path / "data"), out=tmp_path / "run"))
    assert "3 of 3 rows are skipped" in caplog.text


def test_an_interrupted_run_goes_on(tmp_path: Path, options: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    run = replace(options, out=tmp_path / "run")
    monkeypatch.setattr("train.fit.write_model_folder", interrupt)
    with pytest.raises(StoppedError, match="--resume"):
        fit(run)
    assert not run.out.exists()
    history = (run.checkpoints / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in history] == [1, 2]
    with pytest.raises(SettingsError, match="--resume"):
        fit(run)
    with pytest.raises(SettingsError, match="other options"):
        fit(replace(run, resume=True, schedule=replace(run.schedule, epochs=3)))
    with pytest.raises(StoppedError):
        fit(replace(run, resume=True))
    assert (run.checkpoints / "history.jsonl").read_text().splitlines() == history, "no epoch was repeated"
    shutil.rmtree(run.work)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _heed_interrupts() -> None:
    """Whoever runs the tests in the background may ignore Ctrl-C, and children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_advice_and_no_model_folder(number: signal.Signals, tmp_path: Path) -> None:
    """It comes as soon as the first checkpoint is there."""
    folder = write_folder(tmp_path / "data", LABELS[:2], count=12)
    command = [
        sys.executable, "-m", "train", "fit", "--data", str(folder), "--init", "random", "--no-tracking",
        "--arch", "mobilenetv3_small_050", "--epochs", "10000", "--out", str(tmp_path / "run"),
        "--img-size", "32", "--train-size", "32", "--batch-size", "8",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # several threads on busy cores wait for each other
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment,
        preexec_fn=_heed_interrupts,  # noqa: PLW1509 - one call, and no thread holds a lock that it needs
    )  # fmt: skip
    try:
        for line in process.stderr:
            if line.startswith("epoch 2:"):  # after the checkpoint of the first
                process.send_signal(number)
                break
        _, rest = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1
    assert rest.strip().splitlines()[-1].startswith("error: Interrupted. With --resume the same command goes on")
    assert "Traceback" not in rest
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("limit", [100_000, 1_000_000])
def test_a_full_disk_is_explained_and_leaves_no_model_folder(limit: int, tmp_path: Path, folder: Path) -> None:
    """A limit on file sizes stands in for it: the first stops the checkpoint, the second the weights."""
    command = [
        "fit", "--data", str(folder), "--init", "random", "--arch", "mobilenetv3_small_050", "--epochs", "1",
        "--out", str(tmp_path / "run"), "--img-size", "32", "--train-size", "32", "--batch-size", "32", "--no-tracking",
        *(["--recipe", "probe"] if limit == 1_000_000 else []),
    ]  # fmt: skip
    code = f"""
import resource, sys, runpy
import train.fit
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.argv = ["train", *{command!r}]
runpy.run_module("train", run_name="__main__")
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    assert "The disk is full" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_no_file_of_the_folder_is_a_pickle(trained: Path) -> None:
    for path in trained.rglob("*"):
        if path.is_file():
            assert not path.read_bytes().startswith((b"\x80", b"PK"))

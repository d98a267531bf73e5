"""The drift reference of a model folder: made with it, or added later."""

import shutil
from pathlib import Path

import pytest

from catdog.model.drift import DriftMonitor
from catdog.model.metadata import DriftReference, load_metadata
from catdog.model.model import Model
from tests.train.pictures import LABELS, picture, write_folder
from train.__main__ import main
from train.loop.publish import check_folder
from train.model_folder.amend import amend_model_folder
from train.options import FitOptions


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


def reference_of(folder: Path) -> DriftReference:
    reference = load_metadata(folder).drift_reference
    assert reference is not None
    return reference


def test_a_run_has_one_of_its_validation_pictures(trained: Path) -> None:
    reference = reference_of(trained)
    assert reference.n == load_metadata(trained).training["splits"]["validation"]
    assert {"confidence", "brightness", "contrast", "sharpness", "features"} <= set(reference.properties)
    assert reference.projection is not None
    assert reference.projection.matrix.shape[1] == 1024
    assert all(each.shares[-1] >= 1 - 1.01 / reference.n for each in reference.properties.values())


def test_the_running_app_measures_what_training_measured(trained: Path) -> None:
    model = Model.load(trained)
    monitor = DriftMonitor(model.metadata, model.revision)
    for seed in range(70):
        for label in LABELS:
            monitor.observe(model.look(picture(label, seed)))
    assert {each.name for each in monitor.scores()} == set(reference_of(trained).properties)


def test_the_command_adds_the_same_to_a_folder_that_has_none(
    run: Path, trained: Path, options: FitOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    amend_model_folder(run, {}, drift_reference=DriftReference(n=1, properties={}))
    assert main(["drift", "--model", str(run), "--data", options.data]) == 0
    assert f"features of {reference_of(trained).n} pictures" in capsys.readouterr().out
    assert reference_of(run) == reference_of(trained)
    check_folder(run)
    assert Model.load(run).revision == Model.load(trained).revision


def test_other_data_can_be_the_reference(run: Path, tmp_path: Path) -> None:
    others = write_folder(tmp_path / "others")
    assert main(["drift", "--model", str(run), "--data", str(others), "--other"]) == 0
    assert reference_of(run).n == 30
    check_folder(run)


def test_measuring_and_plots_leave_it_as_it_is(run: Path) -> None:
    before = reference_of(run)
    amend_model_folder(run, {"more": {"n": 1}})
    assert reference_of(run) == before

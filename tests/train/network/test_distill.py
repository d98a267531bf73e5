from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from catdog.errors import DataError, ModelError, SettingsError
from catdog.model.metadata import load_metadata
from tests.train.pictures import picture
from train.__main__ import main
from train.fit import fit
from train.network.augment import augment, draw_views, resample
from train.options import Augmentation, Distillation, FitOptions


@pytest.fixture(scope="module")
def taught(options: FitOptions, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose teacher is a finished run, and that also learned from pictures without labels."""
    base = tmp_path_factory.mktemp("taught")
    more = base / "more"
    more.mkdir()
    for seed in range(100, 116):
        picture("plum", seed).save(more / f"{seed}.png")
    how = Distillation(str(trained), side=32, views=2, unlabelled=str(more))
    return fit(replace(options, out=base / "run", distillation=how))


def test_a_finished_run_teaches_and_the_metadata_say_so(taught: Path, trained: Path) -> None:
    said = load_metadata(taught).training["settings"]["distillation"]
    assert said["teacher"] == "model.safetensors"
    assert said["sha256"] == load_metadata(trained).sha256("model.safetensors")
    assert said["architecture"] == "mobilenetv3_small_050"
    assert str(trained.parent) not in (taught / "metadata.json").read_text()


def test_pictures_without_labels_are_learned_from(taught: Path) -> None:
    assert load_metadata(taught).training["settings"]["distillation"]["unlabelled_pictures"] == 16


def test_the_teacher_leaves_nothing_in_the_model_folder(taught: Path) -> None:
    assert not list(taught.rglob("*.npy"))
    assert not list(taught.rglob("teacher*"))


def test_an_interrupted_run_with_a_teacher_goes_on(
    options: FitOptions, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = Distillation(str(trained), side=32, views=1)
    wanted = replace(options, out=tmp_path / "run", distillation=how, resume=True)
    interrupted = _interrupted(monkeypatch)
    interrupted(wanted)
    views = list((wanted.work / "teacher").glob("view-0-*.npy"))
    assert len(views) == 1
    made = views[0].stat().st_mtime_ns
    interrupted(wanted)
    assert views[0].stat().st_mtime_ns == made
    assert len(load_metadata(fit(wanted)).training["settings"]["history"]) == 2


def _interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[FitOptions], None]:
    """A run that is stopped when it would write the model folder."""

    def run(wanted: FitOptions) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("train.fit.write_model_folder", _fail)
            with pytest.raises(DataError, match="stopped"):
                fit(wanted)

    return run


def _fail(*_: object) -> None:
    raise DataError("stopped")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"teacher": "missing.safetensors"}, SettingsError, "--teacher missing.safetensors: there is no such file"),
        ({"teacher": "mobilenetv9_huge"}, SettingsError, "--teacher mobilenetv9_huge"),
        ({"architecture": "mobilenetv9"}, SettingsError, "--teacher-arch mobilenetv9"),
        ({"architecture": "mobilenetv3_small_100"}, ModelError, "(?s)--teacher .* does not fit.*--teacher-arch"),
        ({"unlabelled": "EMPTY"}, DataError, "EMPTY"),
        ({"unlabelled": "./missing"}, SettingsError, "missing"),
    ],
)
def test_a_teacher_that_cannot_teach_is_explained(  # noqa: PLR0913, PLR0917 - each is one thing
    change: dict[str, str], error: type[Exception], words: str, options: FitOptions, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "EMPTY").mkdir()
    if change.get("unlabelled") == "EMPTY":
        change = {"unlabelled": str(tmp_path / "EMPTY")}
    how = Distillation(str(trained / "model.safetensors"), "mobilenetv3_small_050", side=32, views=1)
    with pytest.raises(error, match=words):
        fit(replace(options, out=tmp_path / "run", distillation=replace(how, **change)))  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_run_does_not_teach(options: FitOptions, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        fit(replace(options, out=tmp_path / "run", distillation=Distillation(str(tmp_path))))


def test_unlabelled_without_a_teacher_is_refused() -> None:
    with pytest.raises(SettingsError, match="--unlabelled needs --teacher"):
        main(["fit", "--data", "x", "--init", "random", "--out", "x", "--unlabelled", "y"])


def test_a_view_is_varied_within_itself() -> None:
    """What lies outside of the view that the teacher judged is never shown to the student."""
    squares = torch.zeros(8, 3, 64, 64, dtype=torch.uint8)
    squares[:, :, :, :32] = 255
    how = Augmentation(degrees=0, shear=0, area=(0.2, 0.2), ratio=(1, 1), coarse=0, brightness=0, contrast=0)
    theta = draw_views(torch.ones(8), how, torch.Generator().manual_seed(0))
    judged = resample(squares, theta, side=32)
    for seed in range(5):
        torch.manual_seed(seed)
        shown = augment(squares, torch.ones(8), side=32, how=how, theta=theta)
        for one, other in zip(judged, shown, strict=True):
            assert float(one.min()) - 0.02 <= float(other.min())
            assert float(other.max()) <= float(one.max()) + 0.02


def test_views_are_the_same_for_the_same_seed() -> None:
    first, second = (
        draw_views(torch.ones(4), Augmentation(), torch.Generator().manual_seed(3)).numpy() for _ in range(2)
    )
    assert np.array_equal(first, second)

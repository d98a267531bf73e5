import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from catdog.errors import GateRefusedError, ModelError, SettingsError
from catdog.model.metadata import load_metadata, write_metadata
from tests.train.folders import complete_folder
from train.gate.report import Check, GateReport
from train.loop.publish import check_folder, promote


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_takes_the_place_of_a_model(tmp_path: Path) -> None:
    old = complete_folder(tmp_path / "model", weights=b"old", extra={"old.png": b"plot"})
    run = complete_folder(tmp_path / "runs" / "new", weights=b"new")
    (run / "notes.txt").write_text("listed nowhere")
    new, replaced = promote(run, old)
    assert (load_metadata(old), replaced is not None) == (new, True)
    assert files(old) == {name: content for name, content in files(run).items() if name != "notes.txt"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "runs"]


def test_where_no_model_is_one_is_made(tmp_path: Path) -> None:
    run = complete_folder(tmp_path / "run")
    _, replaced = promote(run, tmp_path / "model")
    assert replaced is None
    assert files(tmp_path / "model") == files(run)


def test_what_an_interrupted_promotion_left_is_no_obstacle(tmp_path: Path) -> None:
    for name in ("model.new", "model.old"):
        complete_folder(tmp_path / name, extra={"stale": b"file"})
    promote(complete_folder(tmp_path / "run"), tmp_path / "model")
    assert "stale" not in files(tmp_path / "model")
    check_folder(tmp_path / "model")


def damaged(run: Path) -> None:
    (run / "model.safetensors").write_bytes(b"other bytes")


def other_labels(run: Path) -> None:
    write_metadata(run, load_metadata(run).model_copy(update={"labels": ("ant", "bee", "cow")}))


def incomplete(run: Path) -> None:
    (run / "model.safetensors").unlink()


def refused(run: Path) -> None:
    report = GateReport(
        accepted=False, checks=(Check(name="slices", passed=False, finding="x"),), slices=(), numbers={}
    )
    shutil.rmtree(run)
    complete_folder(run, weights=b"new", extra={"gate.json": report.model_dump_json().encode()})


@pytest.mark.parametrize(
    ("spoil", "error"),
    [(damaged, ModelError), (incomplete, ModelError), (other_labels, SettingsError), (refused, GateRefusedError)],
)
def test_what_does_not_pass_the_checks_changes_nothing(
    spoil: Callable[[Path], None], error: type[Exception], tmp_path: Path
) -> None:
    model = complete_folder(tmp_path / "model", weights=b"old")
    run = complete_folder(tmp_path / "run", weights=b"new")
    before = files(model)
    spoil(run)
    with pytest.raises(error):
        promote(run, model)
    assert files(model) == before


@pytest.mark.parametrize(
    "change", [{"labels": ("ant", "bee", "cow")}, {"metrics": {"test": {"accuracy": 0.1, "n": 900}}}]
)
def test_a_model_unlike_the_present_one_needs_an_explicit_flag(change: dict[str, object], tmp_path: Path) -> None:
    model = complete_folder(tmp_path / "model", weights=b"old")
    run = complete_folder(tmp_path / "run", weights=b"new")
    write_metadata(run, load_metadata(run).model_copy(update=change))
    with pytest.raises(SettingsError, match="--allow-change"):
        promote(run, model)
    promote(run, model, allow_change=True)
    assert load_metadata(model) == load_metadata(run)


def test_a_folder_of_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(SettingsError, match="not a model folder"):
        promote(complete_folder(tmp_path / "run"), tmp_path / "photos")
    assert (tmp_path / "photos").is_dir()

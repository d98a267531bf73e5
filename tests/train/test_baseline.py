"""Simple models and finished ones in one table."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from catdog.errors import DataError, SettingsError
from catdog.model.metadata import load_metadata
from train.baseline import BaselineOptions, baseline, put_into_card
from train.data.splits import read_manifest
from train.evaluation.comparison import as_cells, as_markdown, compare, contender
from train.evaluation.evaluate import evaluate
from train.metrics import Metrics
from train.network.features import Frozen

FROZEN = Frozen("random", "mobilenetv3_small_050", 48)


@pytest.fixture(scope="module")
def report(trained: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("baseline") / "out"
    found = baseline(BaselineOptions(str(folder), FROZEN, out, models={"fine-tuned": trained}))
    assert json.loads((out / "comparison.json").read_text()) == json.loads(json.dumps(found))
    assert (out / "comparison.md").read_text() == as_markdown(found["rows"])
    assert not (out / "timing").exists()
    return found


def test_all_are_scored_on_the_test_split_of_the_finished_model(
    report: dict[str, Any], trained: Path, folder: Path
) -> None:
    scores = evaluate(trained, str(folder), split="test")
    assert report["n"] == scores["n"] == 6
    assert [row["n"] for row in report["rows"]] == [6, 6, 6]
    assert report["rows"][2]["name"] == "fine-tuned"
    assert report["rows"][2]["log_loss"] == pytest.approx(scores["log_loss"])


def test_pixels_are_enough_where_the_label_is_a_tint(report: dict[str, Any]) -> None:
    pixels = report["rows"][0]
    assert pixels["accuracy"] == 1
    assert pixels["size_bytes"] == 4 * 3 * (32 * 32 * 3 + 1)
    assert pixels["fit_relative"] == pixels["predict_relative"] == 1
    assert pixels["accuracy_gain"] is None


def test_every_time_is_measured(report: dict[str, Any]) -> None:
    for row in report["rows"]:
        assert row["fit_cpu_s"] > 0
        assert row["predict_cpu_ms"] > 0
    _, probe, fine_tuned = report["rows"]
    assert fine_tuned["fit_cpu_s"] > probe["fit_cpu_s"]


def test_the_card_has_the_table(report: dict[str, Any], trained: Path, tmp_path: Path) -> None:
    model = shutil.copytree(trained, tmp_path / "model")
    put_into_card(model, report)
    rows = load_metadata(model).metrics["comparison"]["rows"]
    card = (model / "README.md").read_text()
    for cells in as_cells(rows):
        assert f"| {' | '.join(cells)} |" in card
    assert "### What each step gains" in card


def test_pictures_that_a_model_was_made_with_are_in_nobodys_test(trained: Path, folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(trained, tmp_path / "other")
    manifest = read_manifest(trained / "splits.csv")
    text = (other / "splits.csv").read_text()
    (other / "splits.csv").write_text(text.replace(",test", ",train"))
    assert set(read_manifest(other / "splits.csv").values()) == {"train", "validation"}
    assert len(manifest) == 60
    options = BaselineOptions(str(folder), FROZEN, tmp_path / "out", models={"one": trained, "two": other})
    with pytest.raises(DataError, match="all of the test pictures"):
        baseline(options)


def test_a_folder_without_a_split_manifest_is_refused(trained: Path, folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(trained, tmp_path / "other")
    (other / "splits.csv").unlink()
    with pytest.raises(SettingsError, match=r"has no splits\.csv"):
        baseline(BaselineOptions(str(folder), FROZEN, tmp_path / "out", models={"one": other}))
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="exists already"):
        baseline(BaselineOptions(str(folder), FROZEN, tmp_path))


def test_gains_are_over_the_row_above_and_times_over_the_first() -> None:
    def row(name: str, accuracy: float, log_loss: float, fit_s: float | None, ms: float) -> Any:
        metrics = Metrics(100, accuracy, 0.9, log_loss, 0.01, [], {"accuracy": (accuracy - 0.1, accuracy)})
        return contender(name, metrics, size_bytes=2_000_000, fit_cpu_s=fit_s, predict_cpu_ms=ms)

    rows = compare([row("a", 0.6, 0.7, 2.0, 0.5), row("b", 0.9, 0.3, 30.0, 1.0), row("c", 0.85, 0.2, None, 4.0)])
    assert as_cells(rows) == [
        ("a", "60.00% (50.00% to 60.00%)", "", "0.9000", "0.7000", "2.00 MB", "1.00 x", "1.00 x"),
        ("b", "90.00% (80.00% to 90.00%)", "+30.00", "0.9000", "0.3000", "2.00 MB", "15 x", "2.00 x"),
        ("c", "85.00% (75.00% to 85.00%)", "-5.00", "0.9000", "0.2000", "2.00 MB", "-", "8.00 x"),
    ]
    assert [row["log_loss_gain"] for row in rows] == [None, pytest.approx(0.4), pytest.approx(0.1)]

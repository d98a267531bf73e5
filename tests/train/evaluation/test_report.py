"""Everything about one model, for looking at."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catdog.errors import ModelError, SettingsError
from catdog.model.metadata import load_metadata, verify_file
from tests.conftest import ROOT
from tests.toy import toy_model
from tests.train.folders import complete_folder
from train.evaluation.curves import reliability, risk_coverage, roc
from train.evaluation.distortions import DISTORTIONS
from train.evaluation.evaluate import Answered, answer
from train.evaluation.report import CARD_PLOTS, write_report
from train.model_folder.amend import add_report


def colours(folder: Path) -> Path:
    """Pictures of three colours; one green one is said to be blue."""
    for channel, colour in enumerate(("red", "green", "blue")):
        (folder / colour).mkdir(parents=True)
        for seed in range(4):
            pixels = np.random.default_rng([channel, seed]).integers(0, 90, (10, 12, 3), dtype=np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).resize((60, 50)).save(folder / colour / f"{seed}.png")
    (folder / "green" / "3.png").rename(folder / "blue" / "wrong.png")
    return folder


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Answered:
    folder = tmp_path_factory.mktemp("answered")
    return answer(toy_model(folder / "toy"), str(colours(folder / "data")))


@pytest.fixture(scope="module")
def report(answered: Answered, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("report") / "made" / "here"
    return folder, write_report(answered, folder)


def test_the_report_has_figures_plots_and_the_mistakes(report: tuple[Path, dict[str, Any]]) -> None:
    folder, figures = report
    assert json.loads((folder / "report.json").read_text()) == json.loads(json.dumps(figures))
    assert figures["metrics"]["accuracy"] == pytest.approx(11 / 12)
    assert [each["label"] for each in figures["roc"]] == ["red", "green", "blue"]
    assert figures["slices"]["label blue"]["accuracy"] == pytest.approx(4 / 5)
    assert figures["slices"]["upside-down"]["accuracy"] == pytest.approx(11 / 12)
    assert figures["slices"]["black-and-white"]["accuracy"] < 0.7
    assert set(DISTORTIONS) < set(figures["slices"])
    text = (folder / "index.html").read_text()
    assert text.count("<figure>") == 1
    assert "label blue, answer green" in text
    for name in ("confusion", "roc", "reliability", "risk_coverage", "slices"):
        with Image.open(folder / f"{name}.png") as plot:
            assert plot.width > 300
        assert (folder / f"{name}.png").stat().st_size < 60_000


def test_pictures_do_not_get_into_the_repository(answered: Answered) -> None:
    with pytest.raises(SettingsError, match="in the repository"):
        write_report(answered, ROOT / "docs" / "report")
    assert not (ROOT / "docs" / "report").exists()


def test_the_card_shows_plots_and_slices_and_the_folder_stays_whole(
    report: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, figures = report
    model = complete_folder(tmp_path / "model")
    add_report(model, folder, figures)
    metadata = load_metadata(model)
    for file in metadata.files:
        verify_file(model, metadata, file.path)
    assert {file.path for file in metadata.files} >= {*CARD_PLOTS, "README.md", "model.safetensors"}
    assert metadata.metrics["report"]["slices"] == json.loads(json.dumps(figures["slices"]))
    card = (model / "README.md").read_text()
    for name in CARD_PLOTS:
        assert f"({name})" in card
    for name, each in figures["slices"].items():
        assert f"| {name} | {each['n']} | {100 * each['accuracy']:.2f}%" in card
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_damaged_folder_is_not_amended(report: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, figures = report
    model = complete_folder(tmp_path / "model")
    (model / "config.json").write_text("changed")
    with pytest.raises(ModelError, match="damaged"):
        add_report(model, folder, figures)
    assert "report" not in load_metadata(model).metrics


def test_bins_hold_equally_many_pictures() -> None:
    confidence = np.linspace(0.5, 1.0, 150)
    bins = reliability(np.stack([1 - confidence, confidence], axis=1), np.ones(150, dtype=np.int64))
    assert [each.n for each in bins] == [10] * 15
    assert all(each.accuracy == 1 and each.interval[0] < 1 <= each.interval[1] + 1e-9 for each in bins[1:])
    assert bins[0].confidence < bins[-1].confidence


def test_risk_falls_where_the_confident_answers_are_right() -> None:
    probabilities = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    curve = risk_coverage(probabilities, np.array([1, 1, 1, 0]))
    assert curve.coverage == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk == [0, 0, 0, 0.25]
    assert curve.area == pytest.approx(0.0625)


def test_two_labels_have_one_roc_curve_and_an_absent_one_none() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    (curve,) = roc(probabilities, np.array([0, 1]), ("cat", "dog"))
    assert curve.label == "dog"
    assert (curve.true_positives[-1], curve.false_positives[-1]) == (1, 1)
    assert roc(probabilities, np.array([1, 1]), ("cat", "dog")) == []


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_distorted_picture_is_another_rgb_picture(name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 140, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    changed = DISTORTIONS[name](image)
    assert changed.mode == "RGB"
    assert changed.size in {image.size, image.size[::-1], (90, 64)}
    assert changed.tobytes() != image.tobytes()

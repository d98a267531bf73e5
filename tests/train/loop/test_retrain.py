"""The loop: a champion that lacks a kind of picture, corrections, and a challenger that must pass the gate."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import HfApi
from PIL import Image
from safetensors.torch import load_file

from catdog.cli import run
from catdog.hub.client import HubClient
from catdog.hub.models import load_model
from catdog.model.metadata import load_metadata
from catdog.model.model import Model
from catdog.settings import EMBEDDED_MODEL, Settings
from devhub.server import Running
from feedback.row import FeedbackRow
from tests.feedback.rows import some_row
from tests.train.corrected import faded, faded_rows, write_feedback
from tests.train.pictures import LABELS, picture, write_folder
from train.__main__ import main
from train.data.splits import read_manifest
from train.evaluation.evaluate import evaluate
from train.fit import fit
from train.gate.history import read_history
from train.gate.report import read_report
from train.loop.publish import check_folder
from train.loop.repository import ModelRepository
from train.options import FitOptions, RuleOptions

REPO = "me/tints"
NEW = range(500, 520)
GREY = 0.8 * np.ones(3)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny batches on two threads that something else keeps busy take far longer than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data") / "tints", count=40)


@pytest.fixture(scope="module")
def champion(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear head on real features: right on every tint, and lost on faded ones. It knows that stripes are neither."""
    runs = tmp_path_factory.mktemp("runs")
    for kind in range(6):
        (runs / "stripes" / str(kind)).mkdir(parents=True)
        for seed in range(5):
            striped(kind, seed).save(runs / "stripes" / str(kind) / f"{seed}.png")
    init = str(EMBEDDED_MODEL / "model.safetensors")
    rule = RuleOptions(outliers=str(runs / "stripes"), init=init)
    return fit(FitOptions(data=str(data), init=init, out=runs / "champion", recipe="probe", img_size=128, rule=rule))


def striped(kind: int, seed: int) -> Image.Image:
    wave = np.sin(np.arange(60) * (0.3 + 0.1 * kind) + seed) * 120 + 128
    return Image.fromarray(np.tile(wave.astype(np.uint8), (44, 1))).convert("RGB")


def grey(seed: int) -> Image.Image:
    """None of the tints."""
    blobs = np.random.default_rng([seed, 9]).integers(40, 256, (8, 8, 1)) * GREY
    return Image.fromarray(blobs.astype(np.uint8)).resize((60, 44), Image.Resampling.BICUBIC)


def grey_rows(count: int) -> list[FeedbackRow]:
    """Everybody says that grey is neither."""
    rows = [some_row(picture=grey(seed), client=f"grey{seed}") for seed in range(count)]
    return [replace(row, corrected_label="neither", labels=LABELS) for row in rows]


def turned_away(model: Model) -> float:
    return sum(model.predict(grey(seed)).verdict == "neither" for seed in NEW) / len(NEW)


@pytest.fixture
def api(hub: Running, monkeypatch: pytest.MonkeyPatch) -> HfApi:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    return HfApi(endpoint=hub.url, token=hub.token)


def train(*arguments: object) -> int:
    return run(main, [str(argument) for argument in arguments])


def accuracy_on_faded(model: Model) -> float:
    right = [model.predict(faded(label, seed)).label == label for label in LABELS for seed in NEW]
    return sum(right) / len(right)


def flipped_rows(count: int) -> list[FeedbackRow]:
    """Ordinary pictures that everybody calls by the next label."""
    following = dict(zip(LABELS, (*LABELS[1:], LABELS[0]), strict=True))
    return faded_rows(count, said=lambda label: following[label], draw=lambda label, seed: picture(label, 1000 + seed))


def test_the_loop_closes_refuses_nonsense_and_can_be_turned_back(  # noqa: PLR0913, PLR0917 - fixtures
    api: HfApi, hub: Running, data: Path, champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(model=REPO, hf_endpoint=hub.url, hf_token=hub.token, data_dir=tmp_path / "app")
    good, neither = faded_rows(30), grey_rows(12)
    feedback = write_feedback(tmp_path / "feedback", [*good, *neither])
    watch = ("watch", "--once", "--repo", REPO, "--data", data, "--feedback", feedback, "--out", tmp_path / "runs",
             "--min-new")  # fmt: skip
    assert train("publish", champion, "--repo", REPO) == 0
    assert accuracy_on_faded(load_model(settings).model) < 0.6

    assert train(*watch, 103) == 0
    assert "not enough new feedback" in capsys.readouterr().out
    assert train(*watch, 102) == 0
    assert "published as v2" in capsys.readouterr().out
    served = load_model(settings).model
    assert served.revision == api.model_info(REPO).sha
    assert accuracy_on_faded(served) > 0.75
    before = turned_away(Model.load(champion))
    assert turned_away(served) > before + 0.3, before

    (run_folder,) = (path.parent for path in (tmp_path / "runs").glob("[0-9]*/metadata.json"))
    check_folder(run_folder)
    assert_described(run_folder, champion, good, data)
    assert_only_the_head_learned(run_folder, champion)
    assert load_metadata(run_folder).training["feedback"]["neither"] == [row.id for row in neither]
    assert train(*watch, 1) == 0
    assert "not enough new feedback" in capsys.readouterr().out

    write_feedback(feedback, [*good, *neither, *flipped_rows(40)])
    assert train(*watch, 100) == 3
    refused = capsys.readouterr()
    assert "REFUSED" in refused.out
    assert api.model_info(REPO).sha == served.revision
    assert train(*watch, 100) == 0
    assert "not enough new feedback" in capsys.readouterr().out

    write_feedback(feedback, good)
    assert train("rollback", "--repo", REPO, "--to", "v1") == 0
    assert accuracy_on_faded(load_model(settings).model) < 0.6
    assert train(*watch, 1) == 0
    assert "not enough new feedback" in capsys.readouterr().out
    assert train("publish", run_folder, "--repo", REPO) == 3


def test_answers_of_neither_alone_change_the_rule_and_leave_the_labels(
    data: Path, champion: Path, tmp_path: Path
) -> None:
    feedback, made = write_feedback(tmp_path / "feedback", grey_rows(40)), tmp_path / "next"
    assert train("retrain", "--data", data, "--feedback", feedback, "--base", champion, "--out", made) == 0
    before, after = Model.load(champion), Model.load(made)
    pictures = [picture(label, seed) for label in LABELS for seed in NEW[:5]]
    said, now = (np.array([model.predict(each).probabilities for each in pictures]) for model in (before, after))
    assert np.abs(said - now).max() < 0.01
    assert turned_away(after) > turned_away(before) + 0.3


def assert_only_the_head_learned(made: Path, champion: Path) -> None:
    """The layers before it stay: the branch for `neither` shares the first of them, and knows them as they were."""
    before, after = (load_file(folder / "model.safetensors") for folder in (champion, made))
    learned = {name: tensor for name, tensor in before.items() if tensor.is_floating_point()}
    changed = {name for name, tensor in learned.items() if not torch.equal(tensor, after[name])}
    assert {name.split(".")[0] for name in changed} == {"conv_head", "classifier"}


def assert_described(made: Path, champion: Path, rows: list[FeedbackRow], data: Path) -> None:
    """The folder says what it was made from, keeps its parent's test pictures, and knows what it has learned."""
    training = load_metadata(made).training
    parent, child = read_manifest(champion / "splits.csv"), read_manifest(made / "splits.csv")
    assert parent.items() <= child.items()
    assert [split for split in child.values() if split == "test"] == [s for s in parent.values() if s == "test"]
    assert training["base"]["name"] == REPO
    assert training["base"]["sha256"] == load_metadata(champion).sha256("model.safetensors")
    assert training["feedback"]["revision"].startswith("local-")
    assert sorted(training["feedback"]["rows"]) == sorted(row.id for row in rows)
    assert read_report(made / "gate.json").accepted
    (look,) = read_history(made).looks
    assert load_metadata(made).metrics["kinds"] == look.accuracy
    assert look.accuracy["all"] == load_metadata(made).metrics["test"]["accuracy"]
    assert evaluate(made, str(data))["n"] == evaluate(champion, str(data))["n"]
    assert f"Retrained from `{REPO}`" in (made / "README.md").read_text()


def test_too_little_feedback_is_refused_before_any_training(
    data: Path, champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feedback = write_feedback(tmp_path / "feedback", faded_rows(6))
    out = tmp_path / "run"
    assert train("retrain", "--data", data, "--feedback", feedback, "--base", champion, "--out", out) == 3
    assert "too little accepted feedback" in capsys.readouterr().err
    assert not list(tmp_path.glob("run*"))


@pytest.mark.parametrize("status", ["pending", "rejected"])
def test_only_accepted_rows_count(
    status: str, data: Path, champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feedback = write_feedback(tmp_path / "feedback", faded_rows(30), status=status)
    arguments = ("--data", data, "--feedback", feedback, "--base", champion, "--out", tmp_path / "run")
    assert train("retrain", *arguments) == 3
    assert "0 new pictures to learn from" in capsys.readouterr().err


def test_a_repository_that_serves_another_model_is_not_published_over(
    api: HfApi, data: Path, champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feedback = write_feedback(tmp_path / "feedback", faded_rows(1))
    ModelRepository(HubClient(api.endpoint, api.token), REPO).create(private=True)
    api.upload_folder(repo_id=REPO, folder_path=EMBEDDED_MODEL, allow_patterns=["metadata.json"])
    arguments = ("--data", data, "--feedback", feedback, "--base", champion, "--out", tmp_path / "run")
    assert train("retrain", *arguments, "--publish", REPO) == 2
    assert "another model" in capsys.readouterr().err


def test_wrong_usage_is_told(data: Path, champion: Path, tmp_path: Path, api: HfApi) -> None:
    feedback = write_feedback(tmp_path / "feedback", faded_rows(1))
    common = ("--data", data, "--out", tmp_path / "run")
    assert train("retrain", *common, "--feedback", feedback, "--base", tmp_path / "none") == 2
    assert train("retrain", *common, "--feedback", feedback, "--base", "me/none@v1") == 2
    assert train("retrain", *common, "--feedback", tmp_path, "--base", champion) == 2
    assert train("retrain", *common, "--feedback", "me/none", "--base", champion) == 2
    assert train("retrain", "--data", data, "--out", champion, "--feedback", feedback, "--base", champion) == 2
    assert train("watch", "--once", "--repo", "me/none", "--data", data, "--feedback", feedback) == 2


def test_other_labels_cannot_be_rehearsed(champion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write_folder(tmp_path / "other", LABELS[:2], count=3)
    (other / "amber").rename(other / "wolf")
    feedback = write_feedback(tmp_path / "feedback", faded_rows(30))
    arguments = ("--data", other, "--feedback", feedback, "--base", champion, "--out", tmp_path / "run")
    assert train("retrain", *arguments) == 1
    assert "wolf" in capsys.readouterr().err


def test_old_pictures_are_made_to_look_like_the_answers(
    data: Path, champion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("train.loop.cross_fit._LEAST_OF_EACH_WAY", 1)
    monkeypatch.setattr("train.loop.cross_fit.find_ways", lambda *_: {"tinted": 0.9})
    feedback = write_feedback(tmp_path / "feedback", faded_rows(20))
    out = tmp_path / "run"
    train("retrain", "--data", data, "--feedback", feedback, "--base", champion, "--out", out)  # whatever the gate says
    assert load_metadata(out).training["settings"]["late"]["ways"] == {"tinted": 0.9}
    assert "learned from feedback" in capsys.readouterr().out

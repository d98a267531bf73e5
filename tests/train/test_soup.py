"""Averaging the weights of several fits."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from catdog.errors import SettingsError
from catdog.model.metadata import WEIGHTS_FILE, load_metadata, write_metadata
from catdog.model.model import Model
from train.fit import fit
from train.options import FitOptions
from train.soup import average, soup

START = "start.safetensors"


@pytest.fixture(scope="module")
def members(options: FitOptions, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two fits from the same weights, at other rates."""
    folder = tmp_path_factory.mktemp("soup")
    (folder / START).write_bytes((trained / WEIGHTS_FILE).read_bytes())
    first = replace(options, init=str(folder / START), splits=trained / "splits.csv", out=folder / "slow")
    fast = replace(first, out=folder / "fast", schedule=replace(options.schedule, rate=5e-4, seed=2))
    return [fit(first), fit(fast)]


def test_the_weights_are_the_mean_of_the_members(members: list[Path], folder: Path, tmp_path: Path) -> None:
    made = soup(members, str(folder), out=tmp_path / "soup")
    mean, slow, fast = (load_file(each / WEIGHTS_FILE) for each in (made, *members))
    name = "blocks.0.0.conv_dw.weight"
    assert torch.allclose(mean[name], (slow[name] + fast[name]) / 2, atol=1e-6)
    metadata = load_metadata(made)
    assert [each["name"] for each in metadata.training["settings"]["members"]] == ["slow", "fast"]
    assert metadata.metrics["test"]["n"] == load_metadata(members[0]).metrics["test"]["n"]
    assert Model.load(made).labels == metadata.labels


def test_networks_that_differ_meet_in_the_middle() -> None:
    one, other = (torch.nn.Linear(2, 1) for _ in range(2))
    mean = average([one, other]).state_dict()
    for name, weight in mean.items():
        assert torch.allclose(weight, (one.state_dict()[name] + other.state_dict()[name]) / 2)
        assert not torch.equal(one.state_dict()[name], other.state_dict()[name])


def test_the_members_temperatures_do_not_count(members: list[Path], folder: Path, tmp_path: Path) -> None:
    made = soup(members, str(folder), out=tmp_path / "soup")
    weights, temperatures = [], []
    for each in (made, *members):
        weights.append(load_file(each / WEIGHTS_FILE)["classifier.weight"])
        temperatures.append(load_metadata(each).temperature)
    mean, *own = (weight * temperature for weight, temperature in zip(weights, temperatures, strict=True))
    assert torch.allclose(mean, sum(own) / 2, atol=1e-5)  # type: ignore[arg-type]


def test_weights_from_the_hub_are_those_of_the_file_with_their_name(
    members: list[Path], folder: Path, tmp_path: Path
) -> None:
    fetched = started_from(members[1], tmp_path / "fetched", "someone/start", None)
    made = soup([fetched, members[0]], str(folder), out=tmp_path / "soup")
    assert load_metadata(made).training["init"] == {"name": "someone/start", "sha256": None}


def started_from(member: Path, folder: Path, name: str, sha256: str | None) -> Path:
    """A copy that says that it was fitted from other weights."""
    shutil.copytree(member, folder)
    metadata = load_metadata(folder)
    training = {**metadata.training, "init": {"name": name, "sha256": sha256}}
    write_metadata(folder, metadata.model_copy(update={"training": training}))
    return folder


def test_models_that_do_not_fit_together_are_refused(
    members: list[Path], trained: Path, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="starting weights"):
        soup([members[0], trained], str(folder), out=tmp_path / "soup")
    with pytest.raises(SettingsError, match="at least two"):
        soup(members[:1], str(folder), out=tmp_path / "soup")
    with pytest.raises(SettingsError, match="starting weights"):
        soup(
            [members[0], started_from(members[1], tmp_path / "other", START, "0" * 64)],
            str(folder),
            out=tmp_path / "soup",
        )
    shutil.rmtree(tmp_path / "other")
    (tmp_path / "there").mkdir()
    with pytest.raises(SettingsError, match="exists already"):
        soup(members, str(folder), out=tmp_path / "there")
    assert list(tmp_path.iterdir()) == [tmp_path / "there"]


def test_validation_chooses_how_much_the_last_member_counts(members: list[Path], folder: Path, tmp_path: Path) -> None:
    made = soup(members, str(folder), out=tmp_path / "soup", choose_share=True)
    first, last = (each["share"] for each in load_metadata(made).training["settings"]["members"])
    assert first + last == pytest.approx(1)
    mean, slow, fast = (load_file(each / WEIGHTS_FILE) for each in (made, *members))
    name = "blocks.0.0.conv_dw.weight"
    assert torch.allclose(mean[name], first * slow[name] + last * fast[name], atol=1e-6)

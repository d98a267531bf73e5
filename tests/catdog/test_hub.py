"""Which model is served."""

from pathlib import Path

import pytest

from catdog.errors import ModelError, SettingsError
from catdog.hub import load_model
from catdog.settings import Settings
from tests.toy import toy_model

DEAD_HUB = "http://127.0.0.1:9"


def test_a_folder_is_served_as_it_is(tmp_path: Path) -> None:
    loaded = load_model(Settings(model=str(toy_model(tmp_path / "m")), data_dir=tmp_path))
    assert (loaded.origin, loaded.problem) == ("folder", None)


def test_the_default_model_is_found_from_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_model(Settings(data_dir=tmp_path)).model.labels == ("cat", "dog")


def test_a_name_that_is_neither_folder_nor_repository_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CATDOG_MODEL"):
        load_model(Settings(model="no/such/folder", data_dir=tmp_path))


def test_a_damaged_folder_is_an_error_and_no_reason_to_serve_another_model(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(ModelError):
        load_model(Settings(model=str(tmp_path / "m"), data_dir=tmp_path))


def test_without_a_hub_the_embedded_model_is_served_and_the_reason_told(tmp_path: Path) -> None:
    settings = Settings(model="somebody/model", hf_endpoint=DEAD_HUB, data_dir=tmp_path)
    loaded = load_model(settings, embedded=toy_model(tmp_path / "embedded"))
    assert loaded.origin == "embedded"
    assert loaded.model.model_id == "embedded"
    assert loaded.problem
    assert DEAD_HUB in loaded.problem
    assert not (tmp_path / "last_good_model.json").exists()

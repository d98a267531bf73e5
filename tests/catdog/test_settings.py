"""Settings come from the environment, are checked, and are documented."""

from pathlib import Path

import pytest

from catdog.errors import SettingsError
from catdog.settings import Settings, load_settings


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATDOG_PORT", "8000")
    monkeypatch.setenv("CATDOG_DATA_DIR", "/somewhere")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    settings = load_settings()
    assert (settings.port, settings.data_dir) == (8000, Path("/somewhere"))
    assert settings.hf_endpoint == "http://hub.example"
    assert "hf_secret" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CATDOG_PORT", "many"),
        ("CATDOG_MAX_BYTES", "0"),
        ("CATDOG_RETAIN_DAYS", "1000000"),
        ("CATDOG_RETAIN_DAYS", "nan"),
        ("CATDOG_SYNC_SECONDS", "1e10"),
        ("CATDOG_RELOAD_SECONDS", "inf"),
    ],
)
def test_a_wrong_value_names_the_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        load_settings()


def test_settings_cannot_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({"CATDOG_PROJECT_URL": "https://pets.example/about", "SPACE_ID": "me/pets"}, "https://pets.example/about"),
        ({"CATDOG_PUBLIC_URL": "https://pets.example", "SPACE_ID": "me/pets"}, "https://pets.example"),
        ({"SPACE_ID": "me/pets", "CATDOG_MODEL": "me/model"}, "https://huggingface.co/spaces/me/pets"),
        ({"CATDOG_MODEL": "me/model", "HF_ENDPOINT": "https://hub.example"}, "https://hub.example/me/model"),
        ({"CATDOG_MODEL": "./runs/mine"}, ""),
        ({}, ""),
    ],
)
def test_other_servers_can_find_out_who_asks(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], address: str
) -> None:
    for name in ("CATDOG_PROJECT_URL", "CATDOG_PUBLIC_URL", "CATDOG_MODEL", "SPACE_ID", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load_settings().about_us == address

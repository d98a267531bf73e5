"""`python -m deploy rollout` with the running app, and with a `docker` that only notes what it was asked for."""

import os
import sys
from pathlib import Path

import pytest
import yaml

from catdog.cli import run
from deploy.__main__ import main
from tests.conftest import ROOT
from tests.web.conftest import Server

OLD, NEW = "ghcr.io/me/pets@sha256:01d", "ghcr.io/me/pets@sha256:2e3"
# Fails where the settings name an image that is on the list of bad ones.
DOCKER = f"""#!{sys.executable}
import pathlib, sys
here = pathlib.Path(__file__).parent
settings = pathlib.Path(sys.argv[3]).read_text()
image = settings.split("CATDOG_IMAGE=")[-1].split()[0] if "CATDOG_IMAGE=" in settings else ""
with (here / "calls").open("a") as calls:
    print(sys.argv[4], image, file=calls)
sys.exit("unhealthy" if sys.argv[4] == "up" and image in (here / "bad").read_text().split() else 0)
"""


class Docker:
    def __init__(self, folder: Path) -> None:
        self.env_file = folder / "compose.env"
        self.env_file.write_text(f"CATDOG_MODEL=me/pets\nCATDOG_IMAGE={OLD}\n")
        self._calls, self._bad = folder / "calls", folder / "bad"
        self.set_bad()
        (folder / "docker").write_text(DOCKER)
        (folder / "docker").chmod(0o755)

    def set_bad(self, *images: str) -> None:
        self._bad.write_text(" ".join(images))

    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return Docker(tmp_path)


def roll_out(docker: Docker, image: str, url: str, timeout: int = 60) -> int:
    return run(main, ["rollout", image, "--env-file", str(docker.env_file), "--url", url, "--timeout", str(timeout)])


def test_an_image_that_works_stays(docker: Docker, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert roll_out(docker, NEW, server.url) == 0
    assert docker.calls() == [f"pull {NEW}", f"up {NEW}"]
    assert docker.env_file.read_text() == f"CATDOG_MODEL=me/pets\nCATDOG_IMAGE={NEW}\n"
    assert f"{NEW} runs in place of {OLD}" in capsys.readouterr().out


def test_an_image_that_does_not_become_healthy_is_taken_back(
    docker: Docker, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    docker.set_bad(NEW)
    assert roll_out(docker, NEW, server.url) == 1
    assert docker.calls() == [f"pull {NEW}", f"up {NEW}", f"up {OLD}"]
    assert docker.env_file.read_text() == f"CATDOG_MODEL=me/pets\nCATDOG_IMAGE={OLD}\n"
    told = capsys.readouterr().err
    assert "unhealthy" in told
    assert f"It was rolled back: {OLD} runs again" in told


def test_an_image_that_fails_its_smoke_test_is_taken_back(docker: Docker, capsys: pytest.CaptureFixture[str]) -> None:
    assert roll_out(docker, NEW, "http://127.0.0.1:9", timeout=1) == 1
    assert docker.calls()[-1] == f"up {OLD}"
    assert f"Rolling back to {OLD} failed too" in capsys.readouterr().err


def test_the_first_image_has_none_to_go_back_to(
    docker: Docker, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    docker.env_file.unlink()
    docker.set_bad(NEW)
    assert roll_out(docker, NEW, server.url) == 1
    assert "no earlier image" in capsys.readouterr().err
    assert "CATDOG_IMAGE" not in docker.env_file.read_text()


def test_without_an_engine_it_says_so(
    docker: Docker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert roll_out(docker, NEW, "http://127.0.0.1:9") == 1
    assert "docker cannot be started" in capsys.readouterr().err


def test_what_is_no_image_is_refused(docker: Docker) -> None:
    assert roll_out(docker, "UPPER/case:1", "http://127.0.0.1:9") == 2
    assert roll_out(docker, "a b", "http://127.0.0.1:9") == 2
    assert docker.calls() == []


def test_every_documented_setting_reaches_the_app_of_compose() -> None:
    app = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["app"]
    assert app["env_file"] == [{"path": "${CATDOG_ENV_FILE:-.env}", "required": False}]
    fixed = {"CATDOG_HOST", "CATDOG_PORT", "CATDOG_DATA_DIR"}
    hidden = {name for name, value in app["environment"].items() if f"${{{name}" not in str(value)}
    assert hidden == fixed | {"HF_TOKEN"}

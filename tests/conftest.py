"""What all tests share. Real data is optional: what needs it says so and is skipped."""

import contextlib
import importlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devhub.server import Running

ROOT = Path(__file__).resolve().parent.parent

_BROWSER_FIXTURES = frozenset({"browser", "context", "page", "phone", "tab"})
_APP_FIXTURES = frozenset({"server", "admin_server", "limited", "runner", "sending", "toy_server"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test-quick` leaves out: training, browsers, and tests that start the app as a process."""
    for item in items:
        module = item.path.relative_to(ROOT / "tests") if item.path.is_relative_to(ROOT / "tests") else item.path
        fixtures = set(getattr(item, "fixturenames", ()))
        starts_the_app = hasattr(getattr(item, "module", None), "running")  # imported from tests.web.conftest
        if module.parts[0] in ("train", "demo"):
            item.add_marker("train")
        if fixtures & _BROWSER_FIXTURES:
            item.add_marker("browser")
        if fixtures & _APP_FIXTURES or starts_the_app:
            item.add_marker("slow")


def help_of(package: str, *command: str) -> str:
    """What `python -m PACKAGE COMMAND --help` shows, without a process of its own."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), pytest.raises(SystemExit) as end:
        importlib.import_module(f"{package}.__main__").main([*command, "--help"])
    assert not end.value.code, f"python -m {package} {' '.join(command)} --help ends with {end.value.code}"
    return shown.getvalue()


def missing_tool(reason: str) -> NoReturn:
    """Skip a test for want of a tool; where CI is set, that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (CI must install it)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the repository, with real images and ImageNet weights."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("no folder `shared` with real images beside the repository")
    return folder


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the developer's shell reaches a test, and no test reaches the real Hub or the developer's record."""
    for name in os.environ:
        if name.startswith("CATDOG_") or name in ("HF_TOKEN", "HF_ENDPOINT", "SPACE_ID"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.getbasetemp() / 'mlflow.db'}")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Running]":
    """A hub of its own for one test, with `url` and `token`; the client's cache and token file are the test's too."""
    from huggingface_hub import close_session, constants  # noqa: PLC0415 - a second that most tests do without

    from devhub.server import Running  # noqa: PLC0415

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with Running(tmp_path / "hub") as running:
        yield running
        close_session()

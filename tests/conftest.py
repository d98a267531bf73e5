"""What all tests share. Real data is optional: what needs it says so and is skipped."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent


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
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's shell reaches a test, and no test reaches the real Hub."""
    for name in os.environ:
        if name.startswith("CATDOG_") or name in ("HF_TOKEN", "HF_ENDPOINT", "SPACE_ID"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

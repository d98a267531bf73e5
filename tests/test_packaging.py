"""What is installed where, and what may import what."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from catdog.model.model import Model
from deploy.space.files import without_hashes
from tests.conftest import ROOT

BIN = Path(sys.executable).parent
SAFE_VERSIONS = {
    "gradio": "6.20.0",  # open redirect and server-side request forgery below
    "pillow": "12.3.0",  # decoders that overflow or blow up
    "python-multipart": "0.0.27",  # denial of service
    "starlette": "0.49.1",  # quadratic Range header
    "torch": "2.10.0",  # torch.load with weights_only=True executed code
}


def pins(name: str) -> dict[str, str]:
    found = {}
    for line in without_hashes((ROOT / name).read_text()).splitlines():
        if not line.startswith("-r "):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            assert pin.operator == "==", line
            found[requirement.name] = pin.version
    return found


def run(*command: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False, **{"cwd": ROOT, **options})  # type: ignore[call-overload,no-any-return]


def test_imports_follow_the_layers() -> None:
    done = run(f"{BIN}/lint-imports", "--no-logo", "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_imported_is_declared_and_what_is_declared_is_used() -> None:
    done = run(f"{BIN}/deptry", "--no-ansi", ".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_app_imports_no_torch() -> None:
    code = "import sys, app, catdog.__main__, feedback.__main__; print([m for m in ('torch', 'timm', 'datasets') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_the_app_is_installed_by_hash_from_any_system() -> None:
    text = (ROOT / "requirements.txt").read_text()
    blocks = [block for block in re.split(r"\n(?=\S)", text) if block.strip()]
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text


def test_each_lock_holds_the_one_before() -> None:
    assert pins("requirements.txt").items() <= pins("requirements-train.txt").items()
    assert (ROOT / "requirements-dev.txt").read_text().startswith("-r requirements-train.txt\n")


def test_the_locks_satisfy_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    locked: dict[str, str] = {}
    for name, wanted in (
        ("requirements.txt", project["dependencies"]),
        ("requirements-train.txt", extras["train"]),
        ("requirements-dev.txt", extras["dev"]),
    ):
        locked |= pins(name)
        for requirement in map(Requirement, wanted):
            assert requirement.specifier.contains(locked[requirement.name.lower()]), f"{requirement}: run `make lock`"


def test_the_app_installs_no_torch_and_nothing_installs_cuda() -> None:
    assert not {"torch", "timm", "datasets", "scikit-learn"} & pins("requirements.txt").keys()
    for name in ("requirements.txt", "requirements-train.txt", "requirements-dev.txt"):
        assert not [pin for pin in pins(name) if pin.startswith(("nvidia", "cuda", "triton"))]


def test_no_pin_is_known_to_be_unsafe() -> None:
    locked = pins("requirements.txt") | pins("requirements-train.txt")
    for name, safe in SAFE_VERSIONS.items():
        assert Version(locked[name]) >= Version(safe), name


@pytest.fixture
def old_environment(tmp_path: Path) -> Path:
    """The Makefile beside an environment that an older Python made, with all that it needs installed."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    bin_ = tmp_path / ".venv" / "bin"
    bin_.mkdir(parents=True)
    (bin_ / "python").write_text('#!/bin/sh\ncase "$2" in *print*) echo 3.10;; *) exit 1;; esac\n')
    (bin_ / "python").chmod(0o755)
    for name in (
        "requirements.txt",
        "requirements-train.txt",
        "requirements-dev.txt",
        ".venv/.python-3.10",
        ".venv/.app",
        ".venv/.dev",
    ):
        (tmp_path / name).touch()
    return tmp_path


def make(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run make as in a shell of its own, even where make runs the tests."""
    if shutil.which("make") is None:
        pytest.skip("no make")
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "VENV"}
    return run("make", *arguments, cwd=folder, env=env)


@pytest.mark.parametrize(("target", "packages"), [("run", "requirements.txt"), ("test", "requirements-dev.txt")])
def test_with_another_python_the_environment_and_its_packages_are_made_anew(
    old_environment: Path, target: str, packages: str
) -> None:
    done = make("-n", f"PYTHON={sys.executable}", target, folder=old_environment)
    assert done.returncode == 0, done.stderr
    assert "-m venv --clear" in done.stdout
    assert re.search(rf"pip install .*-r {packages}", done.stdout)


def test_an_old_python_is_refused_in_a_sentence_that_says_what_to_do(old_environment: Path) -> None:
    done = make(f"PYTHON={old_environment}/.venv/bin/python", "VENV=other", "run", folder=old_environment)
    assert done.returncode == 2
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "make PYTHON=python3.12 run" in done.stderr


def test_hashed_files_survive_a_clone_that_converts_line_endings(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    command = ("git", "-c", "core.autocrlf=true", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(clone))
    done = run(*command)
    if done.returncode:
        pytest.skip(f"this is not a clone of git: {done.stderr}")
    for name in run("git", "ls-files", "model", "train", "runs", cwd=clone).stdout.split():
        blob = subprocess.run(["git", "cat-file", "blob", f"HEAD:{name}"], cwd=clone, capture_output=True, check=True)
        assert (clone / name).read_bytes() == blob.stdout, name
    Model.load(clone / "model")

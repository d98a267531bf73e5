"""What is installed where, and what may import what."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.conftest import ROOT

FORBIDDEN = {
    "catdog": ("feedback", "train", "web", "devhub", "deploy", "torch", "timm", "datasets", "gradio"),
    "feedback": ("train", "web", "devhub", "deploy", "torch", "timm", "datasets", "gradio"),
    "web": ("train", "devhub", "deploy", "torch", "timm", "datasets"),
    "train": ("web", "devhub", "deploy", "gradio"),
    "devhub": ("train", "web", "deploy", "torch", "timm", "datasets", "gradio"),
    "deploy": ("torch", "timm", "datasets", "gradio"),
}
SAFE_VERSIONS = {
    "gradio": "6.20.0",  # open redirect and server-side request forgery below
    "pillow": "12.3.0",  # decoders that overflow or blow up
    "python-multipart": "0.0.27",  # denial of service
    "starlette": "0.49.1",  # quadratic Range header
    "torch": "2.10.0",  # torch.load with weights_only=True executed code
}


def pins(name: str) -> dict[str, str]:
    found = {}
    for line in (ROOT / name).read_text().splitlines():
        if not line.startswith("-r "):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            assert pin.operator == "==", line
            found[requirement.name] = pin.version
    return found


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        wrong = imports(path) & set(FORBIDDEN[package])
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_the_app_imports_no_torch() -> None:
    code = "import sys, app, catdog.__main__, feedback.__main__; print([m for m in ('torch', 'timm', 'datasets') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_each_lock_starts_with_the_one_before() -> None:
    assert (ROOT / "requirements-train.txt").read_text().startswith("-r requirements.txt\n")
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


def test_requirements_resolve_as_the_space_builder_installs_them() -> None:
    gradio = pins("requirements.txt")["gradio"]
    command = [
        sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed",
        "-r", "requirements.txt", f"gradio[oauth,mcp]=={gradio}", "uvicorn>=0.14.0", "websockets>=10.4", "spaces",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=600)
    if "Could not find a version" in done.stderr and "from versions: none" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr

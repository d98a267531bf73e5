import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

WITHOUT = """
import sys, runpy
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
sys.argv = ["train", *{arguments!r}]
runpy.run_module("train", run_name="__main__", alter_sys=True)
"""


def without(names: tuple[str, ...], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`python -m train` where some packages are not installed."""
    code = WITHOUT.format(names=names, arguments=arguments)
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


HEAVY = ("torch", "timm", "datasets", "sklearn", "scipy", "accelerate", "torchvision", "tqdm")
FIT = ("fit", "--data", ".", "--init", "random", "--out", "somewhere")


@pytest.mark.parametrize("arguments", [("--help",), ("fit", "--help"), ("evaluate", "--help")])
def test_help_needs_no_training_package(arguments: tuple[str, ...]) -> None:
    result = without(HEAVY, *arguments)
    assert result.returncode == 0, result.stderr
    assert "usage: python -m train" in result.stdout


@pytest.mark.parametrize("missing", ["torch", "datasets"])
def test_a_missing_package_is_explained(missing: str) -> None:
    result = without((missing,), *FIT)
    assert result.returncode == 2
    assert result.stderr.strip().startswith(f"error: Training needs the package {missing}")
    assert "requirements-train.txt" in result.stderr
    assert not result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fit",), "required"),
        ((*FIT, "--epochs", "0"), "--epochs"),
        ((*FIT, "--img-size", "-3"), "--img-size"),
        ((*FIT, "--crop-pct", "1.5"), "--crop-pct"),
        ((*FIT, "--recipe", "magic"), "--recipe"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...], words: str) -> None:
    result = without((), *arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_folder_ends_with_2_and_one_sentence(tmp_path: Path) -> None:
    result = without((), "fit", "--data", str(tmp_path / "none"), "--init", "random", "--out", str(tmp_path / "run"))
    assert result.returncode == 2
    assert "there is no such folder" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())

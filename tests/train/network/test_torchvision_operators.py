import subprocess
import sys

from tests.conftest import ROOT


def run(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_torchvision_and_timm_import_after_it() -> None:
    code = "import train.network.torchvision_operators, torchvision, timm; print(torchvision.__version__)"
    assert run(code)


def test_where_the_operators_are_there_nothing_is_declared() -> None:
    code = """
import torch
library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from train.network import torchvision_operators
print(torchvision_operators._declared)
"""
    assert run(code) == "[]"


def test_doing_it_twice_is_harmless() -> None:
    code = """
from train.network.torchvision_operators import declare_missing_operators
declare_missing_operators()
import torch
print(hasattr(torch.ops.torchvision, "nms"))
"""
    assert run(code) == "True"

"""Lets torchvision be imported beside a CPU-only torch. Import this module before torchvision or timm.

On Linux the package index has torchvision as a CUDA build only. Beside a torch without CUDA its compiled operators
cannot be loaded, and `import torchvision` fails with "operator torchvision::nms does not exist", because it registers
Python kernels for operators that were never declared. Training needs none of these operators, only the transforms, so
declaring their names is enough. Where the operators load, nothing is declared.
"""

import contextlib
import importlib.util
from pathlib import Path

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []  # a declaration lasts as long as its object


def declare_missing_operators() -> None:
    """Declare the operators that `import torchvision` asks for, if they are not there."""
    if _declared or _operators_load():
        return
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}{_SIGNATURE}")  # type: ignore[no-untyped-call]
    _declared.append(library)


def _operators_load() -> bool:
    """Whether torchvision's compiled operators fit this torch."""
    spec = importlib.util.find_spec("torchvision")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for library in Path(folder).glob("_C*.*"):
            with contextlib.suppress(OSError):
                torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    return hasattr(torch.ops.torchvision, "nms")


declare_missing_operators()

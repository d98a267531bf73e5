"""The second network of an ONNX file: a frozen backbone beside the classifier, which knows what other things look like.

A classifier that is fine-tuned on a few labels forgets everything else. The weights that it started from have not: they
see the same pixels at a smaller size, and a linear head on their features gives `neither_score`. The branch is a clean
part of the graph with names of its own, from `pixel_values` to `neither_score`, so that it can be cut out of one file
and joined to another classifier without the weights that it was made of.
"""

import train.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, compose, helper, numpy_helper
from onnx.utils import Extractor
from torch import nn
from torch.nn import functional

from catdog.errors import ModelError
from catdog.metadata import Preprocessing
from train.export import export_onnx
from train.network import preprocessing

PIXELS = "pixel_values"
FEATURES = "neither_features"
SCORE = "neither_score"
WEIGHT, BIAS = "neither.weight", "neither.bias"
OWN_CLASSES = {"cat": range(281, 286), "dog": range(151, 269)}
"""ImageNet-1k's classes that are a label's: house cats, and breeds of dogs."""
_IMAGENET_CLASSES = 1000
_PREFIX = "neither/"


@dataclass(frozen=True, slots=True)
class Head:
    """A linear score: `features @ weight + bias`, larger is less like the labels."""

    weight: npt.NDArray[np.float32]
    """Shape (features,)."""
    bias: float

    def score(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Shape (n,), from features of shape (n, features)."""
        result: npt.NDArray[np.float32] = features @ self.weight + np.float32(self.bias)
        return result


class _Backbone(nn.Module):
    """From the classifier's input to the backbone's features."""

    order: torch.Tensor
    scale: torch.Tensor
    offset: torch.Tensor

    def __init__(self, network: nn.Module, spec: Preprocessing, side: int, own: list[int]) -> None:
        super().__init__()
        self.network = network
        self.side = side
        self.own = len(own)
        others = [number for number in range(_IMAGENET_CLASSES) if number not in own]
        self.register_buffer("order", torch.tensor([*own, *others]))
        wanted = preprocessing(network, input_size=side, crop_pct=1.0)
        self.same = (wanted.mean, wanted.std) == (spec.mean, spec.std)
        mean, std, wanted_mean, wanted_std = (
            torch.tensor(values).view(1, 3, 1, 1) for values in (spec.mean, spec.std, wanted.mean, wanted.std)
        )
        self.register_buffer("scale", std / wanted_std)
        self.register_buffer("offset", (mean - wanted_mean) / wanted_std)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Shape (n, features), from (n, 3, input size, input size)."""
        small = functional.interpolate(pixels, (self.side, self.side), mode="bilinear", align_corners=False)
        if not self.same:
            small = small * self.scale + self.offset
        maps: torch.Tensor = self.network.forward_features(small)  # type: ignore[operator]
        pooled = maps.mean(dim=(2, 3))
        if not self.own:
            return pooled
        logits = self.network.forward_head(maps)[:, self.order]  # type: ignore[operator]
        own, other = logits.split([self.own, _IMAGENET_CLASSES - self.own], dim=1)
        odds = other.logsumexp(dim=1, keepdim=True) - own.logsumexp(dim=1, keepdim=True)
        return torch.cat([pooled, odds], dim=1)


def own_classes(labels: Sequence[str]) -> list[int]:
    """The classes of an ImageNet network that are these labels'; empty if one of them is not known."""
    known = all(label in OWN_CLASSES for label in labels)
    return sorted(number for label in labels for number in OWN_CLASSES[label]) if known else []


def create_branch(network: nn.Module, spec: Preprocessing, *, side: int, own: Sequence[int] = ()) -> onnx.ModelProto:
    """The branch without its head, from `pixel_values` to `neither_features`, shape (n, features).

    These are the means of the backbone's last feature map, and, if `own` is given, one more at the end: the logarithm
    of the backbone's own odds that the picture shows something else.

    Args:
        network: The backbone, in evaluation mode; a timm network whose `forward_features` gives a map.
        spec: How pictures become the classifier's input.
        side: Of the smaller copy that the backbone sees, in pixels.
        own: Which of the backbone's 1000 classes are the labels'.
    """
    backbone = _Backbone(network, spec, side, list(own)).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "branch.onnx"
        export_onnx(backbone, path, side=spec.input_size, outputs=(FEATURES,))
        branch = onnx.load(path)
    return _prefixed(branch)


def branch_of(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The branch of a file, without its head; None if it has none."""
    if not any(FEATURES in node.output for node in model.graph.node):
        return None
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    del typed.graph.value_info[:]
    typed.graph.value_info.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["batch", None]))
    return Extractor(typed).extract_model([PIXELS], [FEATURES])


def head_of(model: onnx.ModelProto) -> Head:
    """The branch's head.

    Raises:
        ModelError: the file has none.
    """
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    if WEIGHT not in found or BIAS not in found:
        raise ModelError(f"The network has no {WEIGHT} and {BIAS}. Make the rule anew with `python -m train neither`.")
    return Head(found[WEIGHT].reshape(-1).astype(np.float32), float(found[BIAS][0]))


def joined(classifier: onnx.ModelProto, branch: onnx.ModelProto, head: Head) -> onnx.ModelProto:
    """One network with the classifier's outputs and `neither_score`; a branch that the classifier has is replaced.

    Raises:
        ModelError: the two were exported for other operator sets or input sizes.
    """
    if classifier.opset_import[0].version != branch.opset_import[0].version or _side(classifier) != _side(branch):
        raise ModelError(
            "The classifier and its rule for `neither` were exported by different versions or for different input "
            "sizes. Make the rule anew with `python -m train neither`."
        )
    outputs = [output.name for output in classifier.graph.output if output.name != SCORE]
    made = Extractor(classifier).extract_model([PIXELS], outputs)
    nodes = [
        helper.make_node("MatMul", [FEATURES, WEIGHT], [f"{_PREFIX}product"], name=f"{_PREFIX}head/MatMul"),
        helper.make_node("Add", [f"{_PREFIX}product", BIAS], [f"{_PREFIX}sum"], name=f"{_PREFIX}head/Add"),
        helper.make_node("Squeeze", [f"{_PREFIX}sum", f"{_PREFIX}last"], [SCORE], name=f"{_PREFIX}head/Squeeze"),
    ]
    constants: dict[str, npt.NDArray[Any]] = {
        WEIGHT: head.weight.astype(np.float32).reshape(-1, 1),
        BIAS: np.array([head.bias], dtype=np.float32),
        f"{_PREFIX}last": np.array([1], dtype=np.int64),
    }
    made.graph.node.extend([*branch.graph.node, *nodes])
    made.graph.initializer.extend(branch.graph.initializer)
    made.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    made.graph.output.append(helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, ["batch"]))
    onnx.checker.check_model(made)
    return made


def _prefixed(branch: onnx.ModelProto) -> onnx.ModelProto:
    """The same with every name its own, but for the input and the output."""
    made = compose.add_prefix(branch, _PREFIX)
    for old, new in ((f"{_PREFIX}{PIXELS}", PIXELS), (f"{_PREFIX}{FEATURES}", FEATURES)):
        for node in made.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]
        for value in (*made.graph.input, *made.graph.output):
            value.name = new if value.name == old else value.name
    del made.graph.value_info[:]
    return made


def _side(model: onnx.ModelProto) -> int:
    return int(model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value)

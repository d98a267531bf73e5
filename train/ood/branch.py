"""The second branch of an ONNX file: it leaves the classifier's trunk and still knows what other things look like.

A classifier that is fine-tuned on a few labels forgets everything else. The weights that it started from have not:
their late layers see the maps of the classifier's early ones, after a linear map that makes these what they were, and a
linear head on their features gives `neither_score`. The branch is a clean part of the graph with names of its own, from
`trunk` to `neither_score`, so that it can be cut out of one file and joined to another classifier with the same trunk,
without the weights that it was made of.
"""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, compose, helper, numpy_helper
from onnx.utils import Extractor
from torch import nn

from catdog.errors import ModelError
from catdog.model.metadata import Preprocessing
from train.network.backbone import TRUNK, branch_maps, trunk_maps
from train.network.create import classifier, preprocessing
from train.network.export import PIXELS, exported

FEATURES = "neither_features"
SCORE = "neither_score"
WEIGHT, BIAS = "neither.weight", "neither.bias"
OWN_CLASSES = {"cat": range(281, 286), "dog": range(151, 269)}
"""ImageNet-1k's classes that are a label's: house cats, and breeds of dogs."""
_IMAGENET_CLASSES = 1000
_PREFIX = "neither/"
_ANEW = "Make the rule anew with `python -m train neither`."

Maps = npt.NDArray[np.float32]


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


@dataclass(frozen=True, slots=True)
class Adapter:
    """A linear map from one trunk's channels to another's, the same at every place."""

    weight: npt.NDArray[np.float32]
    """Shape (out channels, in channels)."""
    bias: npt.NDArray[np.float32]
    """Shape (out channels,)."""


def fit_adapter(own: Maps, wanted: Maps) -> Adapter:
    """The least squares from one trunk's maps to another's of the same pictures.

    Args:
        own: Shape (n, in channels, h, w).
        wanted: Shape (n, out channels, h, w).
    """
    x = own.transpose(0, 2, 3, 1).reshape(-1, own.shape[1]).astype(np.float64)
    y = wanted.transpose(0, 2, 3, 1).reshape(-1, wanted.shape[1]).astype(np.float64)
    found = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y)[0].astype(np.float32)
    return Adapter(np.ascontiguousarray(found[:-1].T), found[-1])


class _Trunk(nn.Module):
    """From the classifier's input to the maps of a network's trunk."""

    scale: torch.Tensor
    offset: torch.Tensor

    def __init__(self, network: nn.Module, spec: Preprocessing) -> None:
        super().__init__()
        self.network = network
        wanted = preprocessing(network, input_size=spec.input_size, crop_pct=spec.crop_pct)
        mean, std, wanted_mean, wanted_std = (
            torch.tensor(values).view(1, 3, 1, 1) for values in (spec.mean, spec.std, wanted.mean, wanted.std)
        )
        self.register_buffer("scale", std / wanted_std)
        self.register_buffer("offset", (mean - wanted_mean) / wanted_std)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Shape (n, channels, h, w), from (n, 3, side, side)."""
        return trunk_maps(self.network, pixels * self.scale + self.offset)


class _Branch(nn.Module):
    """From the maps of the classifier's trunk to the features of another network with a trunk like it."""

    def __init__(self, network: nn.Module, adapter: Adapter, own: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.own = len(own)
        self.adapter = nn.Conv2d(adapter.weight.shape[1], adapter.weight.shape[0], 1)
        self.classifier = nn.Linear(classifier(network).in_features, _IMAGENET_CLASSES)
        order = [*own, *(number for number in range(_IMAGENET_CLASSES) if number not in own)]
        self.load_state_dict(
            {
                "adapter.weight": torch.from_numpy(adapter.weight)[:, :, None, None],
                "adapter.bias": torch.from_numpy(adapter.bias),
                "classifier.weight": classifier(network).weight[order],
                "classifier.bias": classifier(network).bias[order],
            },
            strict=False,
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Shape (n, features)."""
        last = branch_maps(self.network, self.adapter(maps))
        pooled = last.mean(dim=(2, 3))
        if not self.own:
            return pooled
        logits = self.classifier(self.network.forward_head(last, pre_logits=True))  # type: ignore[operator]
        own, other = logits.split([self.own, _IMAGENET_CLASSES - self.own], dim=1)
        odds = other.logsumexp(dim=1, keepdim=True) - own.logsumexp(dim=1, keepdim=True)
        return torch.cat([pooled, odds], dim=1)


def own_classes(labels: Sequence[str]) -> list[int]:
    """The classes of an ImageNet network that are these labels'; empty if one of them is not known."""
    known = all(label in OWN_CLASSES for label in labels)
    return sorted(number for label in labels for number in OWN_CLASSES[label]) if known else []


def create_trunk(network: nn.Module, spec: Preprocessing) -> onnx.ModelProto:
    """A network's trunk, from `pixel_values` to `trunk`.

    Args:
        network: One that `has_trunk`, in evaluation mode.
        spec: How pictures become the classifier's input; a network that wants another mean or deviation gets its own.
    """
    return exported(_Trunk(network, spec), (3, spec.input_size, spec.input_size), PIXELS, TRUNK)


def create_branch(
    network: nn.Module, adapter: Adapter, *, size: tuple[int, int], own: Sequence[int] = ()
) -> onnx.ModelProto:
    """The branch without its head, from the classifier's `trunk` to `neither_features`, shape (n, features).

    These are the means of the network's last feature map, and, if `own` is given, one more at the end: the logarithm of
    the network's own odds that the picture shows something else.

    Args:
        network: One that `has_trunk`, in evaluation mode.
        adapter: From the classifier's trunk to the network's.
        size: Height and width of the trunk's maps.
        own: Which of the network's 1000 classes are the labels'.
    """
    branch = _Branch(network, adapter, own)
    return _prefixed(exported(branch, (adapter.weight.shape[1], *size), TRUNK, FEATURES))


def through(trunk: onnx.ModelProto, branch: onnx.ModelProto) -> onnx.ModelProto:
    """Both in one, from `pixel_values` to `neither_features`."""
    made: onnx.ModelProto = compose.merge_models(trunk, branch, io_map=[(TRUNK, TRUNK)])
    return made


def branch_of(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The branch of a file, without its head; None if it has none.

    Raises:
        ModelError: its branch is not one that leaves the classifier's trunk.
    """
    if not any(FEATURES in node.output for node in model.graph.node):
        return None
    if trunk_shape(model) is None:
        raise ModelError(f"The network's rule for `neither` is of an older kind. {_ANEW}")
    return Extractor(_with_features(model)).extract_model([TRUNK], [FEATURES])


def head_of(model: onnx.ModelProto) -> Head:
    """The branch's head.

    Raises:
        ModelError: the file has none.
    """
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    if WEIGHT not in found or BIAS not in found:
        raise ModelError(f"The network has no {WEIGHT} and {BIAS}. {_ANEW}")
    return Head(found[WEIGHT].reshape(-1).astype(np.float32), float(found[BIAS][0]))


def joined(classifier: onnx.ModelProto, branch: onnx.ModelProto, head: Head) -> onnx.ModelProto:
    """One network with the classifier's outputs and `neither_score`; a branch that the classifier has is replaced.

    Raises:
        ModelError: the two were exported for other operator sets, input sizes or trunks.
    """
    same_operators = classifier.opset_import[0].version == branch.opset_import[0].version
    if not same_operators or trunk_shape(classifier) != _shape(branch.graph.input[0]):
        raise ModelError(
            "The classifier and its rule for `neither` were exported by different versions, or for different input "
            f"sizes or architectures. {_ANEW}"
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


def trunk_size(trunk: onnx.ModelProto) -> tuple[int, int]:
    """Height and width of the maps that `create_trunk`'s result gives."""
    _, height, width = _shape(trunk.graph.output[0])
    return height, width


def _prefixed(branch: onnx.ModelProto) -> onnx.ModelProto:
    """The same with every name its own, but for the input and the output."""
    made = compose.add_prefix(branch, _PREFIX)
    for old, new in ((f"{_PREFIX}{TRUNK}", TRUNK), (f"{_PREFIX}{FEATURES}", FEATURES)):
        for node in made.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]
        for value in (*made.graph.input, *made.graph.output):
            value.name = new if value.name == old else value.name
    del made.graph.value_info[:]
    return made


def _with_features(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that says of what type `neither_features` is, which cutting asks."""
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    typed.graph.value_info.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["batch", None]))
    return typed


def trunk_shape(model: onnx.ModelProto) -> tuple[int, ...] | None:
    """Channels, height and width of the trunk's maps inside a served file; None if it has no trunk."""
    return next((_shape(value) for value in model.graph.value_info if value.name == TRUNK), None)


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Without the number of rows."""
    return tuple(size.dim_value for size in value.type.tensor_type.shape.dim[1:])

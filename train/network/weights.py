"""Smaller types for the constants of an ONNX file; it still computes in float32.

ONNX Runtime undoes both when it loads the file, so the network runs as fast as before, on a server and in a browser.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_LARGE = 1024
"""Constants with fewer elements are not worth it."""

_SCALE = "/scale"


def half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with its large float32 constants stored as float16, and a Cast behind each."""
    made, casts = _copy(model), []
    for tensor in _large(made):
        casts.append(helper.make_node("Cast", [f"{tensor.name}/half"], [tensor.name], to=TensorProto.FLOAT))
        values = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(values, f"{tensor.name}/half"))
    return _with_nodes_first(made, casts)


def byte_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with its large float32 constants stored as int8, one scale per output channel, symmetric about zero.

    The first axis is the output channel, as in Conv and Gemm with `transB`; of a MatMul's second operand the last is.
    """
    made, nodes = _copy(model), []
    columns = {node.input[1] for node in made.graph.node if node.op_type == "MatMul"}
    for tensor in list(_large(made)):
        name, values = tensor.name, numpy_helper.to_array(tensor)
        axes = tuple(range(values.ndim - 1)) if name in columns else tuple(range(1, values.ndim))
        scale = np.maximum(np.abs(values).max(axis=axes, keepdims=True), 1e-12) / 127
        whole = np.rint(values / scale).astype(np.int8)
        tensor.CopyFrom(numpy_helper.from_array(whole, f"{name}/int8"))
        made.graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}{_SCALE}"))
        nodes += [
            helper.make_node("Cast", [f"{name}/int8"], [f"{name}/whole"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}/whole", f"{name}{_SCALE}"], [name]),
        ]
    return _with_nodes_first(made, nodes)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made


def _large(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for tensor in model.graph.initializer:
        large = tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= _LARGE
        if large and not tensor.name.endswith(_SCALE):
            yield tensor


def _with_nodes_first(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    return model

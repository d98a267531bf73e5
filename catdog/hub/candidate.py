"""Tries a model that comes from the Hub before it may answer: whoever can write to its repository is not trusted.

All of it happens in a process of its own (`python -m catdog.hub.candidate FOLDER`), with no secrets in its environment
and with limits on CPU time and memory: a hostile file costs that process and nothing else. First the file is read
without running it: no data in other files, only standard operators, bounded counts, and no size that depends on a
picture, so that one run tells what every run costs. Then the model is loaded and run once.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from catdog.errors import HubError, ModelError
from catdog.model.metadata import METADATA_FILE, ONNX_FILE
from catdog.model.onnx_graph import Field, fields

MAX_FILE_BYTES = 200_000_000
MAX_METADATA_BYTES = 5_000_000
_MAX_NODES, _MAX_INITIALIZERS, _MAX_PARTS = 20_000, 20_000, 100_000
_CPU_S = 30
_WALL_S = 180.0
_MEMORY_BYTES = 800_000_000
_REFUSED = 3
_LIBRARY_ROOT = Path(__file__).resolve().parents[2]
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMPDIR", "LANG", "PYTHONHOME")

# Numbers of fields, from https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_MODEL_GRAPH = 7
_MODEL_FIELDS = frozenset((1, 2, 3, 4, 5, 6, _MODEL_GRAPH, 8, 14))  # all but training, functions and configurations
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_SPARSE = 1, 5, 11, 15
_VALUE_NAME, _INITIALIZER_NAME = 1, 8
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS = 5, 10
_ATTRIBUTE_OTHERS = frozenset((6, 11, 22, 23))  # graphs and sparse tensors
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_LOCATION_HERE = b"\x70\x00"
_DOMAINS = frozenset((b"", b"ai.onnx"))
_OTHER_FORMAT = slice(4, 8), b"ORTM"  # ONNX Runtime's own, which it would read in its own way

# Everything that image classifiers are exported to. Not among them: control flow, which may run forever, strings,
# random numbers, and whatever else no network here needs.
_OPERATORS = frozenset(
    b"""
    Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Compress Concat Constant
    ConstantOfShape Conv ConvInteger ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div Dropout
    DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather GatherElements GatherND Gelu Gemm
    GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid
    HardSwish Hardmax Identity InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Less LessOrEqual Log
    LogSoftmax LpNormalization LpPool MatMul MatMulInteger Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul
    Neg NonZero Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization Range Reciprocal
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
    Relu Reshape Resize Round ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Size Slice Softmax Softplus
    Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze
    Upsample Where Xor
    """.split()
)

_SIZES = {
    b"ConstantOfShape": (0,), b"Expand": (1,), b"OneHot": (1,), b"Pad": (1,), b"Range": (0, 1, 2), b"Resize": (2, 3),
    b"Tile": (1,), b"Upsample": (1,),
}  # fmt: skip
"""The inputs that say how large a result will be."""
_ONLY_SHAPES = (b"Shape", b"Size")


def check_candidate(folder: Path) -> None:
    """Check a downloaded model folder and try it in a process of its own.

    Raises:
        ModelError: it isn't a model that can be served, and never will be.
        HubError: it could not be tried now.
    """
    _check_file_sizes(folder)
    command = [sys.executable, "-m", "catdog.hub.candidate", str(folder.resolve())]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            cwd=_LIBRARY_ROOT,
            env={**environment, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdin=subprocess.DEVNULL,
            timeout=_WALL_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HubError(f"The model in {folder.name} could not be tried ({type(error).__name__}).") from None
    if done.returncode == _REFUSED:
        raise ModelError(done.stdout.decode("utf-8", "replace").strip())
    if done.returncode:
        raise ModelError(
            f"The model in {folder.name} crashed when it was tried, or needed more than {_CPU_S} s of CPU time or "
            f"{_MEMORY_BYTES // 1_000_000} MB of memory (exit {done.returncode}). Publish another one."
        )


def _check_file_sizes(folder: Path) -> None:
    try:
        for path, limit in ((folder / ONNX_FILE, MAX_FILE_BYTES), (folder / METADATA_FILE, MAX_METADATA_BYTES)):
            if path.stat().st_size > limit:
                raise ModelError(f"{path.name} is larger than {limit // 1_000_000} MB. Publish a smaller model.")
    except OSError as error:
        raise ModelError(f"{folder.name} cannot be read: {error.strerror}. Publish the model again.") from None


def check_network(onnx: bytes) -> None:
    """Check an ONNX file: nothing outside the file, no functions, only standard operators, bounded counts.

    Raises:
        ModelError: it has a part that is not allowed; the message names it.
    """
    where, mark = _OTHER_FORMAT
    try:
        parts = _parts(onnx)
        if onnx[where] == mark or any(part.number not in _MODEL_FIELDS for part in parts):
            raise _not_allowed("functions, training information, or parts that are not of the ONNX format")
        for part in parts:
            if part.number == _MODEL_GRAPH:
                _check_graph(_parts(part.value))
    except ValueError as error:
        raise ModelError(f"{ONNX_FILE} is damaged: {error}. Publish the model again.") from None


def _check_graph(parts: list[Field]) -> None:
    nodes = [part.value for part in parts if part.number == _GRAPH_NODE]
    tensors = [part.value for part in parts if part.number == _GRAPH_INITIALIZER]
    if any(part.number == _GRAPH_SPARSE for part in parts):
        raise _not_allowed("sparse tensors")
    if len(nodes) > _MAX_NODES or len(tensors) > _MAX_INITIALIZERS:
        raise _not_allowed(f"more than {_MAX_NODES} nodes or {_MAX_INITIALIZERS} tensors")
    for node in nodes:
        tensors += _check_node(node)
    for tensor in tensors:
        _check_tensor(tensor)
    _check_sizes(parts, nodes)


def _check_sizes(parts: Sequence[Field], nodes: Sequence[bytes]) -> None:
    """Follow what depends on the picture through the network: how large a result is must not."""
    tensors = {_first(part.value, _INITIALIZER_NAME) for part in parts if part.number == _GRAPH_INITIALIZER}
    depend = {_first(part.value, _VALUE_NAME) for part in parts if part.number == _GRAPH_INPUT} - tensors
    for node in nodes:  # each comes after those that it needs
        found = _parts(node)
        inputs = [part.value for part in found if part.number == _NODE_INPUT]
        operator = _first(node, _NODE_OPERATOR)
        if any(at < len(inputs) and inputs[at] in depend for at in _SIZES.get(operator, ())):
            raise _not_allowed(f"the operator {operator.decode('ascii')} with a size that depends on the picture")
        if operator not in _ONLY_SHAPES and not depend.isdisjoint(inputs):
            depend.update(part.value for part in found if part.number == _NODE_OUTPUT)


def _parts(message: bytes) -> list[Field]:
    """The fields of a message, which must not be too many to be held."""
    found = list(islice(fields(message), _MAX_PARTS + 1))
    if len(found) > _MAX_PARTS:
        raise _not_allowed(f"more than {_MAX_PARTS} parts in one message")
    return found


def _first(message: bytes, number: int) -> bytes:
    return next((part.value for part in fields(message) if part.number == number), b"")


def _check_node(node: bytes) -> Iterator[bytes]:
    """Check a node; its tensors."""
    parts = _parts(node)
    operators = [part.value for part in parts if part.number == _NODE_OPERATOR]
    domains = {part.value for part in parts if part.number == _NODE_DOMAIN}
    if len(operators) != 1 or operators[0] not in _OPERATORS or not domains <= _DOMAINS:
        named = b".".join((*sorted(domains), *operators))[:80]
        raise _not_allowed(f"the operator {named.decode('ascii', 'backslashreplace')!a}")
    for attribute in (part.value for part in parts if part.number == _NODE_ATTRIBUTE):
        for part in _parts(attribute):
            if part.number in _ATTRIBUTE_OTHERS:
                raise _not_allowed("graphs within graphs, or sparse tensors")
            if part.number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                yield part.value


def _check_tensor(tensor: bytes) -> None:
    for part in _parts(tensor):
        if part.number == _TENSOR_EXTERNAL or (part.number == _TENSOR_LOCATION and part.whole != _LOCATION_HERE):
            raise _not_allowed("data in other files")


def _not_allowed(what: str) -> ModelError:
    return ModelError(f"{ONNX_FILE} has {what}, which is not allowed in a model from the Hub. Export it without.")


def _limit_resources() -> None:
    try:
        import resource  # noqa: PLC0415 - not on Windows, where only the time is limited
    except ImportError:
        return
    limits = {resource.RLIMIT_CPU: _CPU_S, resource.RLIMIT_DATA: _MEMORY_BYTES, resource.RLIMIT_CORE: 0}
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))


def _main(folder: Path) -> int:
    """Load a model and run it once, within limits; the exit code says how it went."""
    _limit_resources()
    import numpy as np  # noqa: PLC0415 - these come after the limits
    from PIL import Image  # noqa: PLC0415

    from catdog.model.model import Model  # noqa: PLC0415

    try:
        check_network((folder / ONNX_FILE).read_bytes())
        model = Model.load(folder)
        if model.explains:
            model.explain(Image.fromarray(np.zeros((64, 64, 3), np.uint8)))
    except ModelError as error:
        print(error)  # noqa: T201 - for the parent process
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))

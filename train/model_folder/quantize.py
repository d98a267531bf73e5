"""A small ONNX file, for browsers: constants as float16 where that changes nothing, a copy with int8 if it is as good.

Neither is slower, which is checked: once ONNX Runtime has prepared the file, the same operators are left as before.
"""

import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from PIL import Image

from catdog.model.metadata import ONNX_FILE, Metadata
from catdog.model.model import softmax
from catdog.model.preprocessing import preprocess
from train.data.examples import map_rows
from train.data.source import Row
from train.data.splits import Divided
from train.metrics import Floats, Labels
from train.network.export import PIXELS
from train.network.weights import byte_weights, half_weights

QUANTIZED_FILE = "onnx/model_quantized.onnx"
MOST_LOST = 0.001
"""Accuracy on validation that int8 may cost."""
MOST_CHANGED = 0.01
"""How far a probability may be from what it was: a browser must not contradict the server."""
_ASKED = 600
"""Validation pictures that both are asked about, at most."""
_HALF_FILE = "onnx/model_fp16.onnx"
_WAYS: Mapping[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    _HALF_FILE: half_weights,
    QUANTIZED_FILE: byte_weights,
}
_log = logging.getLogger(__name__)


def make_small(folder: Path, metadata: Metadata, data: Divided) -> dict[str, dict[str, float]]:
    """Store the constants of a folder's network as float16, and write a copy with int8, each only if it is good enough.

    Returns:
        By file, what was done and what it costs, for the metadata: bytes, accuracy lost on validation, and the largest
        change of a probability.
    """
    network = onnx.load(folder / ONNX_FILE)
    for name, way in _WAYS.items():
        onnx.save(way(network), folder / name)
    costs = _compare(folder, metadata, data)
    good = {name: cost for name, cost in costs.items() if _good(folder, name, cost)}
    for name in costs.keys() - good.keys():
        (folder / name).unlink()
    if _HALF_FILE in good:
        (folder / _HALF_FILE).replace(folder / ONNX_FILE)
        good[ONNX_FILE] = good.pop(_HALF_FILE)
    return good


def _good(folder: Path, name: str, cost: Mapping[str, float]) -> bool:
    _log.info("%s: %s", name, ", ".join(f"{key} {value:.4g}" for key, value in cost.items()))
    return (
        cost["bytes"] < (folder / ONNX_FILE).stat().st_size
        and cost["accuracy_lost"] <= MOST_LOST
        and cost["largest_change"] <= MOST_CHANGED
        and _operators(folder / name) == _operators(folder / ONNX_FILE)
    )


def _compare(folder: Path, metadata: Metadata, data: Divided) -> dict[str, dict[str, float]]:
    """What each small copy costs, on some of validation."""
    sessions = {name: _open(folder / name) for name in (ONNX_FILE, *_WAYS)}
    spec = metadata.preprocessing

    def ask(_row: Row, image: Image.Image) -> npt.NDArray[np.float32]:
        pixels = preprocess(image, spec)[None]
        return np.concatenate([session.run(["logits"], {PIXELS: pixels})[0] for session in sessions.values()])

    rows, labels = data.rows("validation"), data.labels("validation")
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:_ASKED])
    rows, labels = [rows[index] for index in chosen], labels[chosen]
    found = [each for each in map_rows(data.examples.source, ask, rows) if not isinstance(each, str)]
    full, *small = softmax(np.stack(found, axis=1))
    return {
        name: {
            "bytes": (folder / name).stat().st_size,
            "accuracy_lost": _accuracy(full, labels) - _accuracy(each, labels),
            "largest_change": float(np.abs(full - each).max()),
        }
        for name, each in zip(_WAYS, small, strict=True)
    }


def _accuracy(probabilities: Floats, labels: Labels) -> float:
    return float((probabilities.argmax(axis=1) == labels).mean())


def _operators(path: Path) -> Counter[str]:
    """What ONNX Runtime really runs: the operators that are left once it has prepared the network."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = str(Path(folder) / "prepared.onnx")
        _open(path, prepared)
        return Counter(node.op_type for node in onnx.load(prepared).graph.node)


def _open(path: Path, prepared: str = "") -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = prepared
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

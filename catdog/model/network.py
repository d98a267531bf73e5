"""The network of a model folder, as ONNX Runtime runs it: only what is asked for, each request on one core."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from catdog.errors import ModelError
from catdog.model.onnx_graph import cut, output_names

INPUT = "pixel_values"
ORT_ERRORS = (
    ort_errors.EPFail, ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.InvalidGraph, ort_errors.InvalidProtobuf,
    ort_errors.NoModel, ort_errors.NoSuchFile, ort_errors.NotFound, ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)  # fmt: skip
"""What ONNX Runtime raises."""

_PARTS = (("logits", "neither_score", "features"), ("heatmap",))
"""Outputs that are asked for together; each part of the file is a session of its own."""

Outputs = dict[str, npt.NDArray[np.float32]]


class Network:
    """An ONNX file, cut into parts that run by themselves. Safe to use from many threads."""

    def __init__(self, path: Path) -> None:
        """Read a file. What is asked for at each request is opened now, the rest when it is asked for.

        Raises:
            ModelError: it is not a network that ONNX Runtime can run.
        """
        self._path = path
        try:
            self._file = path.read_bytes()
            self.outputs = frozenset(output_names(self._file))
        except (OSError, ValueError) as error:
            raise _no_network(path, error) from None
        self._sessions: dict[tuple[str, ...], ort.InferenceSession] = {}
        self._opening = threading.Lock()
        if self.outputs & set(_PARTS[0]):
            self._session(_PARTS[0])

    def run(self, names: Sequence[str], pixels: npt.NDArray[np.float32]) -> Outputs:
        """Compute some outputs.

        Args:
            names: Of `outputs`.
            pixels: Shape (n, 3, side, side).
        """
        found: Outputs = {}
        for part in _PARTS:
            if wanted := [name for name in names if name in part]:
                found |= zip(wanted, self._session(part).run(wanted, {INPUT: pixels}), strict=True)
        return found

    def _session(self, part: tuple[str, ...]) -> ort.InferenceSession:
        with self._opening:
            if part not in self._sessions:
                self._sessions[part] = self._open(part)
            return self._sessions[part]

    def _open(self, part: tuple[str, ...]) -> ort.InferenceSession:
        """One thread per call: requests run side by side instead, which is faster on few cores."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            wanted = [name for name in part if name in self.outputs]
            return ort.InferenceSession(cut(self._file, wanted), options, providers=["CPUExecutionProvider"])
        except (*ORT_ERRORS, ValueError) as error:
            raise _no_network(self._path, error) from None


def _no_network(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path} is not a network that ONNX Runtime can run: {error}. Export the model again.")

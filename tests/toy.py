"""A model folder small enough to build in a test: the label is the strongest colour channel of the picture."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from catdog.model.metadata import (
    ONNX_FILE,
    FileHash,
    Metadata,
    NeitherRule,
    Preprocessing,
    UnsureRule,
    VerdictRules,
    hash_file,
    write_metadata,
)

COLOURS = ("red", "green", "blue")
SIDE = 32


def toy_model(  # noqa: PLR0913 - each is one property
    folder: Path,
    labels: Sequence[str] = COLOURS,
    *,
    neither_above: float | None = None,
    unsure_below: float | None = None,
    positive_label: str | None = None,
    shifted: bool = False,
) -> Path:
    """Write a model folder whose logits are 10 times the mean of the first `len(labels)` colour channels.

    With `shifted` it takes each channel for the next label. Its `neither_score` is the mean brightness, from -1 (black) to 1 (white); its heat map has 4 by 4 places.
    """
    (folder / ONNX_FILE).parent.mkdir(parents=True)
    onnx.save(_network(len(labels), int(shifted)), folder / ONNX_FILE)
    write_metadata(
        folder,
        Metadata(
            schema_version=1,
            architecture="toy",
            labels=tuple(labels),
            positive_label=positive_label,
            preprocessing=Preprocessing(
                input_size=SIDE,
                mean=(0.5, 0.5, 0.5),
                std=(0.5, 0.5, 0.5),
                interpolation="bilinear",
                crop_pct=1.0,
                crop_mode="center",
            ),
            verdict=VerdictRules(
                neither=None if neither_above is None else NeitherRule(max_score=neither_above),
                unsure=None if unsure_below is None else UnsureRule(min_confidence=unsure_below),
            ),
            files=(FileHash(path=ONNX_FILE, sha256=hash_file(folder / ONNX_FILE)),),
        ),
    )
    return folder


def picture(colour: str | tuple[int, int, int] = "red", size: tuple[int, int] = (120, 80)) -> Image.Image:
    """A picture of one colour."""
    return Image.new("RGB", size, colour)


def textured(colour: str | tuple[int, int, int] = "red", size: tuple[int, int] = (120, 80)) -> Image.Image:
    """A picture of about one colour that no other picture is near-identical to."""
    noise = Image.frombytes("L", (17, 16), os.urandom(17 * 16)).resize(size, Image.Resampling.NEAREST)
    return Image.blend(picture(colour, size), noise.convert("RGB"), 0.3)


def encoded(image: Image.Image, format_: str = "JPEG", **options: object) -> bytes:
    """The bytes of a picture file."""
    out = io.BytesIO()
    image.save(out, format_, **options)
    return out.getvalue()


def _network(classes: int, shift: int = 0) -> onnx.ModelProto:
    weights = np.roll(10 * np.eye(3, classes), shift, axis=1).astype(np.float32)
    kernel = np.ascontiguousarray(weights.T / 16).reshape(classes, 3, 1, 1)
    nodes = [
        helper.make_node("ReduceMean", ["pixel_values", "space"], ["features"], keepdims=0),
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
        helper.make_node("ReduceMean", ["features", "last"], ["neither_score"], keepdims=0),
        helper.make_node("AveragePool", ["pixel_values"], ["places"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["places", "kernel"], ["heatmap"]),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes]),
            helper.make_tensor_value_info("neither_score", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("heatmap", TensorProto.FLOAT, ["batch", classes, 4, 4]),
        ],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True),
            helper.make_tensor("kernel", TensorProto.FLOAT, kernel.shape, kernel.tobytes(), raw=True),
            helper.make_tensor("space", TensorProto.INT64, [2], [2, 3]),
            helper.make_tensor("last", TensorProto.INT64, [1], [1]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

"""The network that runs what is asked for, in parts."""

import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from catdog.errors import ModelError
from catdog.model.network import Network
from catdog.model.onnx_graph import cut, output_names
from tests.conftest import ROOT

EMBEDDED = ROOT / "model" / "onnx" / "model.onnx"
PIXELS = np.random.default_rng(0).normal(size=(2, 3, 256, 256)).astype(np.float32)


@pytest.fixture(scope="module")
def whole() -> dict[str, np.ndarray]:
    """What the uncut file says."""
    session = ort.InferenceSession(EMBEDDED, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pixel_values": PIXELS}), strict=True))


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(EMBEDDED)


def test_the_parts_say_what_the_whole_says(network: Network, whole: dict[str, np.ndarray]) -> None:
    found = network.run(sorted(whole), PIXELS)
    assert network.outputs == whole.keys() == found.keys()
    for name, expected in whole.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5)


def test_many_may_ask_at_once(network: Network, whole: dict[str, np.ndarray]) -> None:
    found: list[dict[str, np.ndarray]] = []
    threads = [
        threading.Thread(target=lambda: found.append(network.run(["neither_score", "logits"], PIXELS)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(threads)
    for each in found:
        np.testing.assert_allclose(each["logits"], whole["logits"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(each["neither_score"], whole["neither_score"], rtol=1e-4, atol=1e-5)


def test_a_part_holds_only_what_its_outputs_need() -> None:
    data = EMBEDDED.read_bytes()
    part = onnx.load_from_string(cut(data, ["neither_score"]))
    onnx.checker.check_model(part)
    assert output_names(part.SerializeToString()) == ("neither_score",)
    assert {name.split("/")[0] for node in part.graph.node for name in node.output} >= {"neither"}
    assert not any("network.classifier" in each.name for each in part.graph.initializer)
    assert len(part.graph.node) < len(onnx.load_from_string(data).graph.node)


def test_a_graph_within_a_graph_is_left_whole() -> None:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "inner", [], [helper.make_tensor_value_info("y", 1, None)]
    )
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "a", "b")]
    condition = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("If", ["c"], ["a"], then_branch=inner, else_branch=inner),
        helper.make_node("Neg", ["x"], ["b"]),
    ]
    graph = helper.make_graph(nodes, "outer", values[:1], values[1:], [condition])
    data = helper.make_model(graph).SerializeToString()
    assert cut(data, ["b"]) == data


@pytest.mark.parametrize("data", [b"", b"no network", EMBEDDED.read_bytes()[:1000], b"\x07\x00", b"\xff" * 20])
def test_what_is_no_network_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="not a network that ONNX Runtime can run"):
        Network(path)

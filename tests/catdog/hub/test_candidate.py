"""Models of somebody who may write to the repository and is hostile: none goes live, and the watcher goes on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from huggingface_hub import CommitOperationAdd
from onnx import TensorProto, helper

from catdog.errors import ModelError
from catdog.hub.candidate import check_network
from catdog.hub.watch import ModelWatcher
from catdog.model.metadata import METADATA_FILE, ONNX_FILE, FileHash, hash_file, load_metadata, write_metadata
from tests.catdog.conftest import REPO, Published
from tests.toy import toy_model

LABELS = ("cat", "dog")


def network(nodes: Sequence[onnx.NodeProto], tensors: Sequence[onnx.TensorProto] = (), **changes: Any) -> bytes:
    """A network that gives logits, after whatever else it does."""
    usual = [
        helper.make_node("ReduceMean", ["pixel_values", "space"], ["features"], keepdims=0),
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
    ]
    weights = np.eye(3, 2, dtype=np.float32)
    graph = helper.make_graph(
        [*usual, *nodes],
        "hostile",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
        [
            helper.make_tensor("space", TensorProto.INT64, [2], [2, 3]),
            helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True),
            *tensors,
        ],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9, **changes).SerializeToString()
    return model


def numbers(name: str, *values: int) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def outside_data(location: str) -> bytes:
    tensor = helper.make_tensor("stolen", TensorProto.UINT8, [32], bytes(32), raw=True)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return network([helper.make_node("Identity", ["stolen"], ["x"])], [tensor])


def attribute_data() -> bytes:
    tensor = helper.make_tensor("stolen", TensorProto.UINT8, [32], bytes(32), raw=True)
    tensor.external_data.add(key="location", value="../../data/client-keys/2026-01.key")
    return network([helper.make_node("Constant", [], ["x"], value=tensor)])


def loop() -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["still_going"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("still_going", TensorProto.BOOL, [])],
    )
    return network([helper.make_node("Loop", ["turns", ""], [], body=body)], [numbers("turns", 2**62)])


def picture_decides(operator: str, *inputs: str) -> bytes:
    """A size that is small for a black picture, with which a model is tried, and huge for a white one."""
    nodes = [
        helper.make_node("ReduceMax", ["pixel_values"], ["brightest"], keepdims=0),
        helper.make_node("Mul", ["brightest", "many"], ["size"]),
        helper.make_node("Cast", ["size"], ["count"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["count", "one"], ["counts"]),
        helper.make_node(operator, inputs, ["x"]),
    ]
    many = helper.make_tensor("many", TensorProto.FLOAT, [], [1e9])
    return network(nodes, [many, numbers("one", 1)])


def other_format() -> bytes:
    """Begins as a file in ONNX Runtime's own format does, within a field that a reader of ONNX would pass over."""
    return b"\xc2\x3e\x84\x01ORTM" + bytes(128) + network([])


STATIC: dict[str, Callable[[], bytes]] = {
    "data in another file": lambda: outside_data("../../../data/client-keys/2026-01.key"),
    "data in another file, absolute": lambda: outside_data("/etc/hostname"),
    "data in another file, of an attribute": attribute_data,
    "a loop": loop,
    "another domain": lambda: network([helper.make_node("Gelu", ["logits"], ["x"], domain="com.microsoft")]),
    "an operator that is not of the standard": lambda: network([helper.make_node("ImageDecoder", ["logits"], ["x"])]),
    "random numbers": lambda: network([helper.make_node("RandomNormal", [], ["x"], shape=[4])]),
    "very many nodes": lambda: network([helper.make_node("Identity", ["logits"], [f"x{n}"]) for n in range(20_001)]),
    "very many parts": lambda: network([]) + b"\x72\x00" * 100_001,
    "functions": lambda: network(
        [],
        functions=[
            helper.make_function("own", "F", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])],
                                 [helper.make_opsetid("", 18)])
        ],
    ),
    "another format": other_format,
    "a size that the picture decides, by Expand": lambda: picture_decides("Expand", "one", "counts"),
    "a size that the picture decides, by Tile": lambda: picture_decides("Tile", "one", "counts"),
    "a size that the picture decides, by ConstantOfShape": lambda: picture_decides("ConstantOfShape", "counts"),
}  # fmt: skip


@pytest.mark.parametrize("name", STATIC)
def test_a_network_that_could_do_harm_is_refused_before_it_runs(name: str) -> None:
    with pytest.raises(ModelError, match="not allowed"):
        check_network(STATIC[name]())


def test_a_size_that_the_pictures_shape_decides_is_allowed() -> None:
    nodes = [
        helper.make_node("Shape", ["pixel_values"], ["shape"]),
        helper.make_node("Expand", ["features", "batch"], ["x"]),
    ]
    check_network(network(nodes, [numbers("batch", 1, 3)]))


def test_a_cut_file_is_damaged() -> None:
    with pytest.raises(ModelError, match="damaged"):
        check_network(network([])[:-5])


class Watched:
    """A repository with a good model that is live, and a watcher that follows it."""

    def __init__(self, published: Published, folder: Path) -> None:
        self._published = published
        self._folder = folder
        self.good = published.publish(*LABELS)
        self.lived = [published.load()]
        self.watcher = ModelWatcher(published.settings(), self.lived[0], self.lived.append, every_s=0)

    def publish(self, onnx_file: bytes) -> str:
        """Publish a network with metadata that fit it; the commit."""
        folder = toy_model(self._folder / f"hostile{len(list(self._folder.glob('hostile*')))}", LABELS)
        (folder / ONNX_FILE).write_bytes(onnx_file)
        files = (FileHash(path=ONNX_FILE, sha256=hash_file(folder / ONNX_FILE)),)
        write_metadata(folder, load_metadata(folder).model_copy(update={"files": files}))
        operations = [CommitOperationAdd(name, folder / name) for name in (ONNX_FILE, METADATA_FILE)]
        commit: str = self._published.api.create_commit(REPO, operations, commit_message="hostile").oid
        return commit

    def refuses(self, onnx_file: bytes) -> str:
        """Publish, look, and see that the good model is live still, and after a restart too; what the watcher says."""
        commit = self.publish(onnx_file)
        self.watcher.look()
        assert [live.model.revision for live in self.lived] == [self.good]
        assert commit in str(self.watcher.problem)
        assert self._published.load(last_good_first=True).model.revision == self.good
        return str(self.watcher.problem)


@pytest.fixture
def watched(published: Published, tmp_path: Path) -> Watched:
    return Watched(published, tmp_path)


@pytest.mark.slow
def test_a_model_that_would_read_a_clients_key_never_goes_live_and_the_next_good_one_does(
    watched: Watched, published: Published
) -> None:
    assert "data in other files" in watched.refuses(STATIC["data in another file"]())
    assert "Loop" in watched.refuses(STATIC["a loop"]())
    better = published.publish(*LABELS)
    watched.watcher.look()
    assert watched.lived[-1].model.revision == better
    assert watched.watcher.problem is None


@pytest.mark.slow
def test_a_model_that_takes_gigabytes_costs_the_process_that_tries_it_alone(watched: Watched) -> None:
    nodes = [helper.make_node("Expand", ["one", "sides"], ["x"]), helper.make_node("ReduceSum", ["x"], ["sum"])]
    nodes.append(helper.make_node("Mul", ["sum", "product"], ["logits"]))
    one = helper.make_tensor("one", TensorProto.FLOAT, [1, 1], [1.0])
    hungry = onnx.load_from_string(network(nodes, [one, numbers("sides", 2**16, 2**16)]))
    hungry.graph.node[1].output[0] = "product"
    problem = watched.refuses(hungry.SerializeToString())
    assert "crashed" in problem or "does not run" in problem or "can run" in problem


@pytest.mark.slow
def test_a_model_that_is_not_the_network_that_its_metadata_describe_is_refused(watched: Watched) -> None:
    hungry = onnx.load_from_string(network([]))
    hungry.graph.output[0].name = "other"
    assert "no output named" in watched.refuses(hungry.SerializeToString())

"""The rule that says "neither", from pictures of other things to the folder, and on to the model that follows."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from PIL import Image
from safetensors.torch import save_file

from catdog.errors import DataError, ModelError, SettingsError
from catdog.model.metadata import NEITHER, ONNX_FILE, SPLITS_FILE, hash_file, load_metadata
from catdog.model.model import Model
from tests.train.pictures import picture
from train.data.examples import read_examples
from train.data.source import Source, open_outliers, open_source, source_of
from train.data.splits import Divided, read_manifest, restore
from train.loop.challenger import restore_network
from train.loop.features import Backbone, Layer
from train.loop.rule import Bound, Features, RuleLearner, let_through, rule_of
from train.model_folder.amend import add_rule
from train.model_folder.quantize import QUANTIZED_FILE
from train.network.create import preprocessing, timm
from train.ood.branch import Head, branch_of, fit_adapter, head_of, joined
from train.ood.head import fit_threshold
from train.ood.rejection import kinds_of, make_rule
from train.options import RuleOptions


def stripes(seed: int, *, size: tuple[int, int] = (60, 44)) -> Image.Image:
    """A grey picture of stripes: nothing like the tints."""
    width, height = size
    wave = np.sin(np.arange(width) * (0.4 + 0.15 * seed)) * 120 + 128
    return Image.fromarray(np.tile(wave.astype(np.uint8), (height, 1))).convert("RGB")


@pytest.fixture(scope="session")
def outliers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty striped pictures of six kinds; one file is none."""
    folder = tmp_path_factory.mktemp("outliers") / "things"
    for kind in ("fox", "sofa", "train", "lamp", "harp", "lion"):
        (folder / kind).mkdir(parents=True)
        for seed in range(5):
            stripes(seed + len(kind), size=(60, 40 + seed)).save(folder / kind / f"{seed}.png")
    (folder / "sofa" / "broken.png").write_bytes((folder / "sofa" / "0.png").read_bytes()[:60])
    return folder


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """They need not know anything: stripes differ in what any filter makes of them."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_file(timm.create_model("mobilenetv3_small_050", num_classes=2).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def rule_options(outliers: Path, weights: Path) -> RuleOptions:
    return RuleOptions(outliers=str(outliers), init=str(weights))


@pytest.fixture(scope="session")
def ruled(trained: Path, folder: Path, rule_options: RuleOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model with the rule."""
    out = tmp_path_factory.mktemp("ruled") / "tints"
    add_rule(trained, str(folder), rule_options, out=out)
    assert [path.name for path in out.parent.iterdir()] == ["tints"]
    return out


@pytest.fixture(scope="session")
def data(ruled: Path, folder: Path) -> Divided:
    return restore(read_examples(open_source(str(folder))), read_manifest(ruled / SPLITS_FILE))


def test_the_model_says_neither_and_still_knows_its_labels(ruled: Path, trained: Path) -> None:
    model, before = Model.load(ruled), Model.load(trained)
    tints = [picture("plum", seed) for seed in range(100, 120)]
    answers = [model.predict(image) for image in tints]
    others = [model.predict(stripes(seed)) for seed in range(4, 10)]
    assert np.mean([each.neither_score for each in others]) > np.mean([each.neither_score for each in answers])
    rule = model.metadata.verdict.neither
    assert rule is not None
    for each in (*answers, *others):
        assert each.neither_score is not None
        assert (each.verdict == NEITHER) == (each.neither_score > rule.max_score)
    assert [a.probabilities for a in answers] == [
        pytest.approx(before.predict(image).probabilities, abs=0.01) for image in tints
    ]
    assert model.explain(tints[0]) == pytest.approx(before.explain(tints[0]), abs=0.01)


def test_the_folder_is_complete_and_tells_what_the_rule_is_worth(ruled: Path, trained: Path) -> None:
    metadata = load_metadata(ruled)
    assert all(file.sha256 == hash_file(ruled / file.path) for file in metadata.files)
    rates = metadata.metrics[NEITHER]
    assert (rates["near"]["n"], rates["near"]["kinds"]) == (10, 2)  # fox and lion
    assert (rates["far"]["n"], rates["far"]["kinds"]) == (20, 4)
    assert metadata.training[NEITHER]["data"] | {"sha256": ""} == {
        "name": "things", "revision": None, "sha256": "", "n": 30, "kinds": 6,
    }  # fmt: skip
    assert "rejected" in (ruled / "README.md").read_text()
    assert metadata.metrics["test"]["verdicts"][NEITHER] >= 0
    assert metadata.training["data"] == load_metadata(trained).training["data"]


def test_the_network_is_stored_small(ruled: Path) -> None:
    metadata = load_metadata(ruled)
    stored = metadata.metrics["stored"]
    assert stored[ONNX_FILE]["bytes"] == (ruled / ONNX_FILE).stat().st_size
    assert stored[ONNX_FILE]["largest_change"] <= 0.01
    assert (ruled / QUANTIZED_FILE).is_file() == (QUANTIZED_FILE in stored)
    tensors = onnx.load(ruled / ONNX_FILE).graph.initializer
    assert not [each.name for each in tensors if each.data_type == TensorProto.FLOAT and np.prod(each.dims) > 1100]


def test_the_rule_goes_on_to_the_next_model_without_the_weights_of_its_branch(ruled: Path, trained: Path) -> None:
    rule = rule_of(ruled)
    assert rule is not None
    base = onnx.load(ruled / ONNX_FILE)
    assert rule.head.weight.tolist() == head_of(base).weight.tolist()
    assert rule.max_score == pytest.approx(load_metadata(ruled).verdict.neither.max_score, abs=1e-3)
    again = ruled.parent / "again.onnx"
    shutil.copy(trained / ONNX_FILE, again)
    rule.add_to(again)
    rule.add_to(again)  # once more changes nothing
    scores = [score_of(path, stripes(3)) for path in (again, ruled / ONNX_FILE)]
    assert scores[0] == pytest.approx(scores[1], abs=0.01)
    again.unlink()


def score_of(path: Path, image: Image.Image) -> float:
    session = onnxruntime.InferenceSession(path)
    side = session.get_inputs()[0].shape[-1]
    pixels = np.asarray(image.resize((side, side)), dtype=np.float32).transpose(2, 0, 1)[None] / 128 - 1
    return float(session.run(["neither_score"], {"pixel_values": pixels})[0][0])


def test_accepted_pictures_of_other_things_are_learned(ruled: Path, data: Divided) -> None:
    rule, metadata = rule_of(ruled), load_metadata(ruled)
    assert rule is not None
    backbone = Backbone.of(ruled, restore_network(ruled, metadata), metadata, cache=None)

    def features(source: Source, rows: list[int]) -> Features:
        digests = [str(row) for row in rows]
        found = backbone.maps(source, rows, digests, layer=Layer.NEITHER, views=1, what="pictures")
        return found.astype(np.float32)

    things = source_of("answers", [noise(seed) for seed in range(12)], [0] * 12, metadata.labels)
    learner = RuleLearner(
        rule=rule,
        own=features(data.examples.source, data.rows("train"))[:, 0],
        validation=features(data.examples.source, data.rows("validation"))[:, 0],
        neither=features(things, list(range(12))),
        new=12,
        answered=np.zeros((0, 1, len(rule.head.weight)), dtype=np.float32),
    )
    after = learner.next()
    assert after.metrics["refitted_with"] == 12
    assert after.metrics["far"] == rule.metrics["far"]
    assert not np.array_equal(after.head.weight, rule.head.weight)
    seen = learner.neither[:, 0]
    assert after.head.score(seen).mean() - after.max_score > rule.head.score(seen).mean() - rule.max_score


def test_pictures_that_people_named_are_let_through_and_other_things_are_not() -> None:
    random = np.random.default_rng(0)
    own, other = random.normal(0, 1, (400, 8)), random.normal(0, 1, (400, 8))
    other[:, 0] += 6  # tells other things from the labels' own pictures
    named, other_so = random.normal(0, 1, (60, 3, 8)), random.normal(0, 1, (60, 8))
    other_so[:, 0] += 6
    for kind in (named, other_so):  # a kind of picture that looks like nothing seen before, and a little like others
        kind[..., 1] += 8
        kind[..., 0] += 2
    head = Head(np.array([1, 0.5, 0, 0, 0, 0, 0, 0], dtype=np.float32), 0.0)
    bound = Bound(head, fit_threshold(head.score(own)))
    assert bound.rejects(named[:, 0]).mean() > 0.9

    now = bound
    for _ in range(4):
        after = let_through(now, named, own)
        now = Bound(after, fit_threshold(after.score(own)))
    assert now.rejects(named[:, 0]).mean() <= 0.15
    assert now.rejects(other_so).mean() > 0.7
    assert now.rejects(other).mean() > 0.97
    assert now.rejects(own).mean() <= bound.rejects(own).mean()


def test_the_rule_learns_from_named_pictures_where_it_turns_many_away(ruled: Path) -> None:
    rule = rule_of(ruled)
    assert rule is not None
    rule = replace(rule, head=Head(np.array([1, 0, 0, 0], dtype=np.float32), 0.0), max_score=3.0)
    own = np.random.default_rng(0).normal(0, 1, (1000, 4)).astype(np.float32)
    none = np.zeros((0, 1, 4), dtype=np.float32)

    def learner(turned_away: int) -> RuleLearner:
        answered = own[:50, None].copy()
        answered[:turned_away, 0, :2] += 6
        return RuleLearner(rule, own=own, validation=own, neither=none, new=0, answered=answered)

    few, many = learner(5), learner(30)
    assert np.array_equal(few.learn().head.weight, rule.head.weight)
    assert many.learn().rejects(many.answered[:, 0]).sum() <= 5
    assert many.next().metrics["refitted_with"] >= 30
    without_them = np.arange(50) < 30
    assert np.array_equal(many.learn(without_answered=without_them).head.weight, rule.head.weight)


def noise(seed: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 2, (44, 60), dtype=np.uint8) * 255
    Image.fromarray(pixels).convert("RGB").save(out, "PNG")
    return out.getvalue()


def test_a_base_without_a_rule_keeps_none(trained: Path) -> None:
    assert rule_of(trained) is None


def test_a_branch_for_another_input_size_is_refused(ruled: Path) -> None:
    base = onnx.load(ruled / ONNX_FILE)
    branch = branch_of(base)
    assert branch is not None
    branch.graph.input[0].type.tensor_type.shape.dim[-1].dim_value = 99
    with pytest.raises(ModelError, match="train neither"):
        joined(base, branch, head_of(base))
    with pytest.raises(ModelError, match="train neither"):
        head_of(branch)


def test_a_branch_of_the_older_kind_is_refused(ruled: Path) -> None:
    base = onnx.load(ruled / ONNX_FILE)
    del base.graph.value_info[:]
    with pytest.raises(ModelError, match="older kind"):
        branch_of(base)


def test_the_adapter_finds_a_linear_map() -> None:
    generator = np.random.default_rng(0)
    maps, weight = generator.normal(size=(3, 4, 5, 6)).astype(np.float32), generator.normal(size=(2, 4))
    wanted = np.einsum("oc,nchw->nohw", weight, maps) + np.array([1, -2])[:, None, None]
    found = fit_adapter(maps, wanted.astype(np.float32))
    np.testing.assert_allclose(found.weight, weight, atol=1e-5)
    np.testing.assert_allclose(found.bias, [1, -2], atol=1e-5)


def test_a_network_without_stages_gets_no_rule(rule_options: RuleOptions, data: Divided) -> None:
    network = timm.create_model("resnet10t", num_classes=3).eval()
    with pytest.raises(SettingsError, match="MobileNetV3"):
        make_rule(network, data, preprocessing(network, input_size=48, crop_pct=1.0), rule_options)


def test_nothing_is_overwritten_or_begun_with_wrong_options(
    trained: Path, folder: Path, rule_options: RuleOptions
) -> None:
    with pytest.raises(SettingsError, match="exists already"):
        add_rule(trained, str(folder), rule_options, out=trained)
    with pytest.raises(SettingsError, match="random weights"):
        RuleOptions(outliers="things", init="random")


def test_too_few_other_pictures_are_refused(tmp_path: Path) -> None:
    for seed in range(2):
        stripes(seed).save(tmp_path / f"{seed}.png")
    with pytest.raises(DataError, match="10 are needed"):
        kinds_of(open_outliers(str(tmp_path)), np.zeros(2, dtype=np.int64))


def test_pictures_without_kinds_are_one_kind_and_columns_name_them(tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    for seed in range(3):
        stripes(seed).save(tmp_path / "flat" / f"{seed}.png")
    assert open_outliers(str(tmp_path / "flat")).labels == ("other",)
    rows = datasets.Dataset.from_dict({"image": [stripes(seed) for seed in range(3)], "name": ["fox", "sofa", "fox"]})
    (tmp_path / "table").mkdir()
    rows.to_parquet(tmp_path / "table" / "train.parquet")
    source = open_outliers(str(tmp_path / "table"))
    assert source.labels == ("fox", "sofa")
    assert [row.label for batch in source.batches() for row in batch] == [0, 1, 0]

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catdog.errors import DataError, ModelError
from catdog.images.phash import fingerprint, pack, phash
from tests.toy import encoded
from tests.train.pictures import LABELS, picture
from train.data.examples import read_examples
from train.data.source import open_source
from train.data.splits import assign_splits, divide, read_manifest, restore, seen_splits, write_manifest


def hashes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**63, (count, 4), dtype=np.uint64)


def test_each_label_is_split_80_10_10() -> None:
    labels = np.repeat([0, 1], [200, 50])
    splits = assign_splits(hashes(250), labels, seed=0)
    for label, counts in ((0, (160, 20, 20)), (1, (40, 5, 5))):
        mine = splits[labels == label]
        assert tuple((mine == split).sum() for split in ("train", "validation", "test")) == counts


def test_near_duplicates_stay_together_even_under_two_labels() -> None:
    some = hashes(100)
    copies = some.copy()
    copies[:, 0] ^= np.uint64(0b111)
    splits = assign_splits(np.concatenate([some, copies]), np.repeat([0, 1], 100), seed=3)
    assert (splits[:100] == splits[100:]).all()
    assert set(splits) == {"train", "validation", "test"}


def test_the_order_of_the_rows_does_not_matter() -> None:
    some, labels = hashes(120), np.tile([0, 1, 2], 40)
    order = np.random.default_rng(1).permutation(120)
    first = assign_splits(some, labels, seed=5)
    assert (assign_splits(some[order], labels[order], seed=5) == first[order]).all()


def test_another_seed_is_another_split() -> None:
    some, labels = hashes(120), np.zeros(120, dtype=np.int64)
    assert (assign_splits(some, labels, seed=1) != assign_splits(some, labels, seed=2)).any()


def test_three_pictures_are_the_least_a_label_can_have() -> None:
    assert sorted(assign_splits(hashes(3), np.zeros(3, dtype=np.int64), seed=0)) == ["test", "train", "validation"]
    with pytest.raises(DataError, match="distinct pictures"):
        assign_splits(hashes(5), np.array([0, 0, 0, 1, 1]), seed=0)


def test_a_group_larger_than_the_quota_stays_in_train() -> None:
    some = hashes(40)
    some[:20] = some[0]
    splits = assign_splits(some, np.zeros(40, dtype=np.int64), seed=0)
    assert (splits[:20] == "train").all()
    assert (splits == "test").sum() == (splits == "validation").sum() == 4


def test_a_manifest_recognises_pictures_and_their_near_duplicates(tmp_path: Path) -> None:
    some = hashes(30)
    splits = assign_splits(some, np.zeros(30, dtype=np.int64), seed=0)
    write_manifest(tmp_path / "splits.csv", some, splits)
    manifest = read_manifest(tmp_path / "splits.csv")
    near = some.copy()
    near[:, 2] ^= np.uint64(1)
    assert (seen_splits(near, manifest) == splits).all()
    assert (seen_splits(hashes(30, seed=9), manifest) == "").all()


def test_a_picture_near_to_two_splits_counts_as_trained_on() -> None:
    manifest = {"0" * 64: "test", "0" * 63 + "1": "train", "0" * 63 + "2": "validation"}
    assert seen_splits(pack(["0" * 64]), manifest).tolist() == ["train"]


def test_a_manifest_is_kept_and_new_pictures_are_split(folder: Path) -> None:
    examples = read_examples(open_source(str(folder)))
    first = divide(examples, seed=1)
    half = {row.tobytes().hex(): split for row, split in zip(examples.hashes[:30], first.splits, strict=False)}
    second = divide(examples, seed=2, manifest=half)
    assert (second.splits[:30] == first.splits[:30]).all()
    assert (second.splits[30:] == divide(examples, seed=2).splits[30:]).all()
    assert (second.splits != divide(examples, seed=2).splits).any()


@pytest.mark.parametrize(
    "text", ["phash,split\n12,train\n", "phash,split\n" + "0" * 64 + ",exam\n", "a,b\n1,2\n", "phash,split\nzz,test\n"]
)
def test_a_damaged_manifest_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(ModelError, match="cannot be used"):
        read_manifest(tmp_path / "splits.csv")


def test_a_missing_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        read_manifest(tmp_path / "splits.csv")


TRUE_SHAPE = Path("../shared/data/true_shape")
WILD = Path("../shared/data/wild")
EMBEDDED = Path("model/splits.csv")


@pytest.mark.skipif(not TRUE_SHAPE.is_dir(), reason="../shared/data/true_shape is absent")
def test_pictures_in_their_true_shape_are_recognised_as_those_of_the_manifest() -> None:
    examples = read_examples(open_source(str(TRUE_SHAPE)))
    seen = seen_splits(examples.hashes, read_manifest(EMBEDDED), examples.certain)
    assert (seen == "test").mean() >= 0.999
    assert set(seen) <= {"test", ""}


@pytest.mark.skipif(not WILD.is_dir(), reason="../shared/data/wild is absent")
def test_photos_from_elsewhere_are_not_taken_for_those_of_the_manifest() -> None:
    examples = read_examples(open_source(str(WILD)))
    assert (seen_splits(examples.hashes, read_manifest(EMBEDDED), examples.certain) == "").all()


def rewritten(image: Image.Image, size: tuple[int, int], quality: int) -> Image.Image:
    """A copy in another size, shape and compression."""
    return Image.open(io.BytesIO(encoded(image.resize(size), quality=quality)))


@pytest.mark.parametrize(("size", "quality"), [((200, 200), 30), ((64, 48), 80), ((900, 400), 50), ((300, 700), 20)])
def test_a_copy_of_a_soft_picture_keeps_its_split(size: tuple[int, int], quality: int) -> None:
    """Soft pictures have many neighbours of about equal brightness, whose order a copy does not keep."""
    scenes = [soft(seed) for seed in range(30)]
    manifest = {phash(scene): "test" for scene in scenes}
    copies = [fingerprint(rewritten(scene, size, quality)) for scene in scenes]
    hashes, certain = pack([each.phash for each in copies]), pack([each.certain for each in copies])
    assert (seen_splits(hashes, manifest, certain) == "test").all()


def soft(seed: int) -> Image.Image:
    """A picture of large blobs and little contrast."""
    noise = np.random.default_rng(seed).integers(90, 150, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((500, 375), Image.Resampling.BICUBIC)


def test_other_soft_pictures_are_not_taken_for_copies() -> None:
    manifest = {phash(soft(seed)): "test" for seed in range(200)}
    others = [fingerprint(soft(seed)) for seed in range(200, 400)]
    hashes, certain = pack([each.phash for each in others]), pack([each.certain for each in others])
    assert (seen_splits(hashes, manifest, certain) == "").all()


def test_pictures_that_a_manifest_does_not_know_are_in_no_split(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They may be test pictures in a form that is not recognised, so nothing is trained on them."""
    examples = read_examples(open_source(str(folder)))
    whole = divide(examples, seed=1)
    order = np.argsort(whole.splits != "train", kind="stable")  # the first few of training are unknown
    manifest = {examples.hashes[row].tobytes().hex(): str(whole.splits[row]) for row in order[5:]}
    restored = restore(examples, manifest, {"sha256": "0" * 64, "n": len(manifest)})
    assert sum(restored.counts.values()) == len(manifest)
    assert "not exactly the data that the model was made with" in caplog.text


def test_nothing_is_said_of_the_very_data_that_a_model_was_made_with(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    examples = read_examples(open_source(str(folder)))
    whole = divide(examples, seed=1)
    manifest = {row.tobytes().hex(): str(split) for row, split in zip(examples.hashes, whole.splits, strict=True)}
    restore(examples, manifest, {"sha256": examples.digest, "n": len(examples)})
    assert "not exactly" not in caplog.text


def split_folders(folder: Path, *splits: str, count: int = 12) -> Path:
    for number, split in enumerate(splits):
        for label in LABELS:
            for seed in range(count):
                path = folder / split / label / f"{seed}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture(label, 100 * number + seed).save(path)
    return folder


def test_folders_that_name_the_splits_are_used_as_they_are(tmp_path: Path) -> None:
    data = divide(read_examples(open_source(str(split_folders(tmp_path, "train", "val", "test")))), seed=0)
    assert data.counts == {"train": 36, "validation": 36, "test": 36}
    names = {data.examples.source.row_name(row).split("/")[-3] for row in data.rows("validation")}
    assert names == {"val"}


def test_a_split_without_a_folder_is_drawn_from_the_training_pictures(tmp_path: Path) -> None:
    data = divide(read_examples(open_source(str(split_folders(tmp_path, "train", "test")))), seed=0)
    assert data.counts["test"] == 36
    assert data.counts["validation"] + data.counts["train"] == 36
    assert data.counts["validation"] == 3


def test_a_training_picture_that_is_in_the_test_folder_too_is_not_trained_with(tmp_path: Path) -> None:
    split_folders(tmp_path, "train", "validation", "test")
    copy = tmp_path / "train" / LABELS[0] / "copy.png"
    shutil.copy(tmp_path / "test" / LABELS[0] / "0.png", copy)
    data = divide(read_examples(open_source(str(tmp_path))), seed=0)
    assert data.counts == {"train": 36, "validation": 36, "test": 36}


def test_a_label_that_only_the_test_folder_has_is_named(tmp_path: Path) -> None:
    split_folders(tmp_path, "train", "validation", "test")
    (tmp_path / "test" / "teal").mkdir()
    picture(LABELS[0], 999).save(tmp_path / "test" / "teal" / "0.png")
    with pytest.raises(DataError, match="no training picture of teal"):
        divide(read_examples(open_source(str(tmp_path))), seed=0)

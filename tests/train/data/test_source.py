import contextlib
import json
import logging
import os
import socket
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catdog.errors import DataError, HubError, SettingsError
from tests.toy import encoded
from tests.train.pictures import LABELS, picture
from train.data.examples import read_examples
from train.data.source import Source, open_outliers, open_source


def labels_of(source: Source) -> list[int | None]:
    return [row.label for batch in source.batches() for row in batch]


def write_parquet(folder: Path, features: dict[str, object], columns: dict[str, pa.Array]) -> Path:
    """A folder in the Hub's layout."""
    table = pa.table(columns)
    info = {"huggingface": json.dumps({"info": {"features": features}})}
    (folder / "data").mkdir(parents=True)
    pq.write_table(table.replace_schema_metadata(info), folder / "data" / "train-00000-of-00001.parquet")
    return folder


def images(*cells: bytes | None) -> pa.Array:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([None if data is None else {"bytes": data, "path": None} for data in cells], type=kind)


IMAGE = {"_type": "Image"}
CLASSES = {"_type": "ClassLabel", "names": ["jade", "amber"]}


def test_a_folder_per_label_is_read_with_sorted_labels(folder: Path) -> None:
    source = open_source(str(folder))
    assert source.labels == LABELS
    assert len(source) == 61
    assert source.revision is None


def test_a_sub_folder_may_be_named_like_a_split(tmp_path: Path) -> None:
    for label in ("bus", "train"):
        (tmp_path / label).mkdir()
        picture("jade", 1).save(tmp_path / label / "1.png")
    assert open_source(str(tmp_path)).labels == ("bus", "train")


def test_parquet_of_the_hub_keeps_the_order_of_its_labels(tmp_path: Path) -> None:
    data = encoded(picture("jade", 1), "PNG")
    folder = write_parquet(
        tmp_path / "set", {"image": IMAGE, "labels": CLASSES}, {"image": images(data, data), "labels": pa.array([1, 0])}
    )
    source = open_source(str(folder))
    assert source.labels == ("jade", "amber")
    assert labels_of(source) == [1, 0]


def test_labels_may_be_strings_or_bare_numbers(tmp_path: Path) -> None:
    data = encoded(picture("jade", 1), "PNG")
    for name, values, kind in (("text", ["b", "a"], "string"), ("number", [7, 3], "int64")):
        folder = write_parquet(
            tmp_path / name,
            {"image": IMAGE, "label": {"_type": "Value", "dtype": kind}},
            {"image": images(data, data), "label": pa.array(values)},
        )
        source = open_source(str(folder))
        assert source.labels == (("a", "b") if name == "text" else ("3", "7"))
        assert labels_of(source) == [1, 0]


def test_rows_that_cannot_be_used_are_counted_by_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = encoded(picture("jade", 1), "PNG")
    folder = write_parquet(
        tmp_path / "set",
        {"image": IMAGE, "label": CLASSES},
        {"image": images(good, None, b"text", good[:200], good), "label": pa.array([0, 1, 1, 1, -1])},
    )
    with caplog.at_level(logging.WARNING):
        examples = read_examples(open_source(str(folder)), side=8)
    assert len(examples) == 1
    assert examples.squares.shape == (1, 3, 8, 8)
    assert examples.skipped.total() == 4
    assert "4 of 5 rows are skipped" in caplog.text
    assert "no label" in caplog.text
    assert "damaged or cut short" in caplog.text


def test_the_digest_depends_on_content_and_not_on_order(tmp_path: Path) -> None:
    first, second = (encoded(picture("jade", seed), "PNG") for seed in (1, 2))
    digests = []
    for name, cells, values in (
        ("a", (first, second), [0, 1]),
        ("b", (second, first), [1, 0]),
        ("c", (first, second), [1, 0]),
    ):
        folder = write_parquet(
            tmp_path / name, {"image": IMAGE, "label": CLASSES}, {"image": images(*cells), "label": pa.array(values)}
        )
        digests.append(read_examples(open_source(str(folder))).digest)
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({"image": IMAGE, "kind": CLASSES}, "no column named `label` or `labels`"),
        ({"photo": {"_type": "Value", "dtype": "string"}, "label": CLASSES}, "no column of pictures"),
        ({"image": IMAGE, "label": {"_type": "ClassLabel", "names": ["one"]}}, "two are needed"),
    ],
)
def test_missing_columns_are_named(features: dict[str, dict[str, str]], words: str, tmp_path: Path) -> None:
    columns = {
        name: images(b"") if kind is IMAGE else pa.array([0] if kind["_type"] == "ClassLabel" else ["x"])
        for name, kind in features.items()
    }
    with pytest.raises(DataError, match=words):
        open_source(str(write_parquet(tmp_path / "set", features, columns)))


def test_an_empty_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as a data set"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("data", ["./nowhere", "/nowhere/at/all", "a/b/c", "what is this?"])
def test_a_name_that_can_be_neither_folder_nor_repository_is_wrong_usage(data: str) -> None:
    with pytest.raises(SettingsError, match="USER/NAME"):
        open_source(data)


def test_an_unreachable_hub_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # a closed port
    with pytest.raises(HubError, match=r"nobody/nothing: http://127\.0\.0\.1:9 cannot be reached"):
        open_source("nobody/nothing")


def test_real_data_open(shared: Path) -> None:
    source = open_source(str(shared / "data" / "wild"))
    assert source.labels == ("cat", "dog")
    assert len(source) == 1000


def counts(source: Source) -> dict[str, int]:
    """How many pictures each label has; all of them can be read."""
    rows = [row for batch in source.batches() for row in batch]
    assert all(row.data for row in rows)
    return dict(Counter(source.labels[row.label] for row in rows if row.label is not None))


def put(path: Path, format_: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture("jade", 1), format_))


def test_the_label_is_the_first_folder_however_deep_a_picture_lies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("hat/by0/a.png", "hat/by1/b.png", "cap/by0/c.png", "cap/d.png", "cap/2021/05/e.png"):
        put(tmp_path / name)
    with caplog.at_level(logging.INFO):
        source = open_source(str(tmp_path))
    assert counts(source) == {"hat": 2, "cap": 3}
    assert "4 pictures in deeper folders: the label is the first folder's name." in caplog.text


def test_pictures_without_a_suffix_or_with_a_rare_one_are_read(tmp_path: Path) -> None:
    for name in ("hat/IMG_0001", "hat/a.JFIF", "hat/b.pjpeg", "cap/c.PJP", "cap/d.jpe", "cap/e.img"):
        put(tmp_path / name, "JPEG")
    put(tmp_path / "cap" / "f.AVIF", "AVIF")
    assert counts(open_source(str(tmp_path))) == {"hat": 3, "cap": 4}


@pytest.mark.parametrize("name", ["pets [2026]", "pets *", "what?", "{a,b}", "a::b", "!x", os.fsdecode(b"caf\xe9")])
def test_any_name_of_a_folder_will_do(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    put(folder / "hat" / "[1].png")
    put(folder / os.fsdecode(b"caf\xe9") / os.fsdecode(b"\xe9*.png"))
    assert counts(open_source(str(folder))) == {"hat": 1, r"caf\xe9": 1}


@pytest.mark.parametrize("name", ["pets [2026]", os.fsdecode(b"caf\xe9")])
def test_any_name_of_a_folder_with_parquet_will_do(name: str, tmp_path: Path) -> None:
    data = encoded(picture("jade", 1), "PNG")
    columns = {"image": images(data, data), "label": pa.array([1, 0])}
    write_parquet(tmp_path / "set", {"image": IMAGE, "label": CLASSES}, columns).rename(tmp_path / name)
    assert labels_of(open_source(str(tmp_path / name))) == [1, 0]


def test_whatever_is_left_out_of_a_folder_is_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("hat/a.png", "cap/b.png", "loose.png", ".hidden/c.png", "cap/._b.png"):
        put(tmp_path / name)
    (tmp_path / "cap" / "notes.txt").write_text("no picture")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "hat" / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(tmp_path / "hat"):
        listener.bind("socket.jpg")
    (tmp_path / "cap" / "circle").symlink_to(tmp_path / "cap")
    with caplog.at_level(logging.WARNING):
        source = open_source(str(tmp_path))
    assert counts(source) == {"hat": 1, "cap": 1}
    assert "8 files are left out" in caplog.text
    reasons = ("without a label", "in a hidden folder", "hidden", ".txt isn't read", "a folder without pictures",
               "a named pipe", "a socket", "a link to a folder above it")  # fmt: skip
    for reason in reasons:
        assert f"{reason} (1)" in caplog.text
    for name in ("loose.png", "c.png", "._b.png", "notes.txt", "empty", "pipe.jpg", "socket.jpg", "circle"):
        assert name in caplog.text


def test_a_folder_of_splits_is_read_as_a_whole_and_says_which_split_each_picture_is_in(tmp_path: Path) -> None:
    for name in ("train/hat/a.png", "train/cap/b.png", "test/hat/c.png"):
        put(tmp_path / name)
    source = open_source(str(tmp_path))
    assert counts(source) == {"hat": 2, "cap": 1}
    assert sorted(source.given) == ["test", "train", "train"]


def test_a_folder_around_the_folders_of_labels_is_refused_with_the_one_that_is_meant(tmp_path: Path) -> None:
    for name in ("images/hat/a.png", "images/cap/b.png"):
        put(tmp_path / name)
    with pytest.raises(DataError, match=r"one sub-folder with pictures, images.* Or is .*images meant, with cap, hat"):
        open_source(str(tmp_path))


def test_pictures_that_cannot_be_read_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "hat" / "a.png")
    (tmp_path / "cap").mkdir()
    (tmp_path / "cap" / "broken.jpg").write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING):
        assert len(read_examples(open_source(str(tmp_path)))) == 1
    assert str(tmp_path / "cap" / "broken.jpg") in caplog.text


def test_outliers_may_lie_flat_or_in_folders_of_their_kind(tmp_path: Path) -> None:
    for name in ("a.png", "fox/b.png", "fox/deep/c.png"):
        put(tmp_path / name)
    assert counts(open_outliers(str(tmp_path))) == {"other": 1, "fox": 2}


def test_pictures_that_were_seen_before_are_not_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hat/a.png", "cap/b.png", "cap/broken.png"):
        put(tmp_path / "data" / name)
    (tmp_path / "data" / "cap" / "broken.png").write_bytes(b"no picture")
    first = read_examples(open_source(str(tmp_path / "data")), cache=tmp_path / "cache")
    monkeypatch.setattr("train.data.examples.fingerprint", lambda _: pytest.fail("a picture was decoded again"))
    again = read_examples(open_source(str(tmp_path / "data")), cache=tmp_path / "cache")
    assert (again.digests, again.skipped, again.rows.tolist()) == (first.digests, first.skipped, first.rows.tolist())
    assert (again.hashes == first.hashes).all()
    assert (again.aspects == first.aspects).all()


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_a_damaged_cache_is_made_anew(content: bytes, tmp_path: Path) -> None:
    for name in ("hat/a.png", "cap/b.png"):
        put(tmp_path / "data" / name)
    source, cache = open_source(str(tmp_path / "data")), tmp_path / "cache"
    first = read_examples(source, cache=cache)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(content)
    assert read_examples(source, cache=cache).digests == first.digests
    assert len(kept.read_bytes()) == len(whole)

"""The export opens where people will open it."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from datasets import Features, Image, List, Value, load_dataset
from PIL import Image as Pillow

from catdog.errors import FeedbackError
from feedback.decision import accept, join, newest, reject, undo
from feedback.hub import parquet
from feedback.hub.parquet import DECISION_SCHEMA, EXPORT_FILE, EXPORT_SCHEMA, ROW_SCHEMA, Exported
from feedback.row import FeedbackRow
from tests.feedback.rows import some_row


def export(rows: Iterable[FeedbackRow], out: Path) -> Exported:
    return parquet.export(join(rows, {}), out)


def rows_per_group(folder: Path) -> list[int]:
    metadata = pq.ParquetFile(folder / EXPORT_FILE).metadata
    return [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]


def test_datasets_opens_the_folder_with_pictures_decoded(tmp_path: Path) -> None:
    rows = [some_row(), some_row(corrected_label="neither")]
    export(rows, tmp_path / "out")
    table = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert table.features["image"] == Image()
    assert table.features["labels"] == List(Value("string"))
    assert table[0]["image"].size == (24, 16)
    assert table["corrected_label"][:] == ["dog", "neither"]
    assert table[1]["probabilities"] == [0.75, 0.25]
    assert table[1]["created_at"] == rows[1].created_at
    assert set(table["status"]) == {"pending"}


def test_datasets_streams_the_file(tmp_path: Path) -> None:
    row = some_row()
    export([row], tmp_path)
    stream = load_dataset("parquet", data_files=str(tmp_path / EXPORT_FILE), split="train", streaming=True)
    (found,) = stream
    assert (found["id"], found["image"].mode) == (row.id, "RGB")


def test_pandas_and_pyarrow_open_the_file(tmp_path: Path) -> None:
    row = some_row()
    export([row], tmp_path)
    frame = pd.read_parquet(tmp_path / EXPORT_FILE)
    assert frame.image[0]["bytes"] == row.image
    assert list(frame.labels[0]) == ["cat", "dog"]
    assert pq.read_table(tmp_path / EXPORT_FILE).to_pylist()[0]["source"] == "upload"
    assert Pillow.open(io.BytesIO(frame.image[0]["bytes"])).size == (24, 16)


def test_the_schema_says_to_datasets_what_arrow_says() -> None:
    for schema in (ROW_SCHEMA, EXPORT_SCHEMA, DECISION_SCHEMA):
        assert Features.from_arrow_schema(schema).arrow_schema.equals(schema.remove_metadata())


def test_every_column_of_a_row_is_exported(tmp_path: Path) -> None:
    row = some_row(extra='{"a": 1}', schema_version=1)
    export([row], tmp_path)
    (found,) = pq.read_table(tmp_path / EXPORT_FILE).to_pylist()
    assert found.pop("image")["bytes"] == row.image
    assert found.pop("status") == "pending"
    found = {**found, "labels": tuple(found["labels"]), "probabilities": tuple(found["probabilities"])}
    assert FeedbackRow(image=row.image, **found) == row


def test_many_rows_go_through_memory_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 20)
    rows = [some_row() for _ in range(50)]
    assert export(rows, tmp_path).rows == 50
    assert rows_per_group(tmp_path) == [20, 20, 10]
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 5 * max(len(row.image) for row in rows))
    export(rows, tmp_path)
    assert max(rows_per_group(tmp_path)) < 10


def test_an_export_replaces_the_earlier_one(tmp_path: Path) -> None:
    export([some_row(), some_row()], tmp_path)
    export([row := some_row()], tmp_path)
    assert pq.read_table(tmp_path / EXPORT_FILE)["id"].to_pylist() == [row.id]
    assert [path.name for path in tmp_path.iterdir()] == [EXPORT_FILE]


def test_a_failed_export_leaves_the_earlier_one(tmp_path: Path) -> None:
    def failing() -> Iterator[FeedbackRow]:
        yield some_row()
        raise FeedbackError("the journal is damaged")

    export([row := some_row()], tmp_path)
    with pytest.raises(FeedbackError):
        export(failing(), tmp_path)
    assert pq.read_table(tmp_path / EXPORT_FILE)["id"].to_pylist() == [row.id]
    assert [path.name for path in tmp_path.iterdir()] == [EXPORT_FILE]


def test_a_damaged_picture_is_left_out_and_counted(tmp_path: Path) -> None:
    good, bad = some_row(), replace(some_row(), image=b"something else")
    exported = export([bad, good], tmp_path)
    assert (exported.rows, exported.damaged) == (1, 1)
    assert pq.read_table(tmp_path / EXPORT_FILE)["id"].to_pylist() == [good.id]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(FeedbackError, match="out cannot be written"):
        export([some_row()], tmp_path / "out")


def test_what_was_decided_is_exported_and_the_maintainers_label_counts(tmp_path: Path) -> None:
    rows = [some_row(corrected_label="dog") for _ in range(4)]
    decisions = [
        accept(rows[0], by="ann"),
        accept(rows[1], by="ann", label="neither"),
        reject(rows[2], by="ann"),
        accept(rows[3], by="ann", label="neither"),
        undo(rows[3], by="ann"),
    ]
    parquet.export(join(rows, newest(decisions)), tmp_path)
    found = pq.read_table(tmp_path / EXPORT_FILE)
    assert found["status"].to_pylist() == ["accepted", "accepted", "rejected", "pending"]
    assert found["corrected_label"].to_pylist() == ["dog", "neither", "dog", "dog"]
    assert found["extra"].to_pylist() == ["{}", '{"person_said": "dog"}', "{}", "{}"]

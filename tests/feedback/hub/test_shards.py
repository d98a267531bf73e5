"""Shards that somebody else put into the data set cost neither memory nor time, and are left out."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catdog.errors import FeedbackError
from feedback.decision import accept
from feedback.hub.parquet import ROW_SCHEMA, decisions_shard, read_rows, record_of, rows_shard
from feedback.hub.shards import TriedShards, try_shards
from tests.feedback.rows import some_row

ROWS = [record_of(some_row()) for _ in range(3)]


def written(path: Path, records: list[dict[str, Any]], schema: pa.Schema = ROW_SCHEMA, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(records, schema=schema), path, compression="zstd", **options)
    return path


def many_equal_rows(path: Path) -> Path:
    zeros = pa.repeat(pa.scalar(0, pa.int32()), 2_000_000)
    columns = {name: pa.DictionaryArray.from_arrays(zeros, [ROWS[0][name]]) for name in ("id", "request_id", "extra")}
    pq.write_table(pa.table(columns), path, compression="zstd")
    return path


def one_picture_of_many_bytes(path: Path) -> Path:
    return written(path, [{**ROWS[0], "image": {"bytes": bytes(150_000_000), "path": "a"}}])


def one_text_that_all_rows_share(path: Path) -> Path:
    return written(path, [{**row, "extra": json.dumps({"a": "b" * 5_000_000})} for row in ROWS * 4])


def thousands_of_columns(path: Path) -> Path:
    pq.write_table(pa.table({f"c{number}": [1] for number in range(3000)}), path)
    return path


def a_footer_of_megabytes(path: Path) -> Path:
    schema = ROW_SCHEMA.with_metadata({"a": "b" * 3_000_000})
    return written(path, ROWS, schema)


def a_footer_that_is_said_to_be_of_gigabytes(path: Path) -> Path:
    path.write_bytes(b"PAR1" + bytes(100) + struct.pack("<I", 2**31 - 1) + b"PAR1")
    return path


def lists_in_lists(path: Path) -> Path:
    kind: Any = pa.int8()
    value: Any = 1
    for _ in range(60):
        kind, value = pa.list_(kind), [value]
    pq.write_table(pa.table({"id": pa.array([value], kind)}), path)
    return path


def a_list_of_millions(path: Path) -> Path:
    return written(path, [{**ROWS[0], "labels": ["cat"] * 8_000_000}])


def thousands_of_groups(path: Path) -> Path:
    pq.write_table(pa.table({"id": ["a"] * 2500}), path, row_group_size=1)
    return path


def a_column_that_nobody_reads(path: Path) -> Path:
    schema = ROW_SCHEMA.append(pa.field("more", pa.binary()))
    return written(path, [{**ROWS[0], "more": bytes(110_000_000)}], schema)


def no_parquet(path: Path) -> Path:
    path.write_bytes(b"<!doctype html><title>404</title>")
    return path


def nothing(path: Path) -> Path:
    path.write_bytes(b"")
    return path


HOSTILE = (
    many_equal_rows, one_picture_of_many_bytes, one_text_that_all_rows_share, thousands_of_columns, nothing,
    a_footer_of_megabytes, a_footer_that_is_said_to_be_of_gigabytes, lists_in_lists, a_list_of_millions,
    thousands_of_groups, a_column_that_nobody_reads, no_parquet,
)  # fmt: skip


def test_shards_that_cost_far_more_than_their_bytes_are_found(tmp_path: Path) -> None:
    paths = [make(tmp_path / f"{make.__name__}.parquet") for make in HOSTILE]
    found = try_shards(paths)
    assert [path.name for path in paths if not found[path]] == []


def with_lie(path: Path) -> Path:
    """A picture of 150 MB, of which the footer says that it takes 1 kB."""
    data = one_picture_of_many_bytes(path).read_bytes()
    told = pq.ParquetFile(path).metadata.row_group(0)
    footer_at = len(data) - 8 - struct.unpack("<I", data[-8:-4])[0]
    footer = data[footer_at:]
    for size in {told.total_byte_size, *(told.column(n).total_uncompressed_size for n in range(told.num_columns))}:
        if size > 100_000_000:
            footer = footer.replace(_varint(2 * size, 5), _varint(2000, 5))
    path.write_bytes(data[:footer_at] + footer)
    assert pq.ParquetFile(path).metadata.row_group(0).total_byte_size == 1000
    return path


def _varint(number: int, length: int) -> bytes:
    """A number as Thrift writes it, with zeros in front."""
    parts = [number >> 7 * n & 127 for n in range(length)]
    return bytes([*(part | 128 for part in parts[:-1]), parts[-1]])


VALUES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "source": lambda row: {**row, "source": "carrier pigeon"},
    "extra that is a list": lambda row: {**row, "extra": '["audit"]'},
    "extra that is no JSON": lambda row: {**row, "extra": "audit"},
    "extra nested deep": lambda row: {**row, "extra": '{"audit":' + "[" * 9000 + "]" * 9000 + "}"},
    "no labels": lambda row: {**row, "labels": None},
    "probabilities": lambda row: {**row, "probabilities": [float("nan"), 1.0]},
    "too few probabilities": lambda row: {**row, "probabilities": [1.0]},
    "id": lambda row: {**row, "id": "../../../etc/passwd"},
    "no id": lambda row: {**row, "id": None},
    "hash": lambda row: {**row, "image_phash": "zz"},
    "label": lambda row: {**row, "corrected_label": "b" * 10_000},
    "no label": lambda row: {**row, "corrected_label": None},
    "no time": lambda row: {**row, "created_at": None},
}


@pytest.mark.parametrize("name", VALUES)
def test_a_row_whose_values_make_no_sense_makes_its_shard_unusable(tmp_path: Path, name: str) -> None:
    shard = written(tmp_path / "a.parquet", [ROWS[0], VALUES[name](ROWS[1])])
    with pytest.raises(FeedbackError):
        list(read_rows(shard))


def test_shards_as_we_write_them_are_fine_and_are_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decisions = [accept(some_row(), by="me")]
    shards = {"rows": rows_shard(some_row() for _ in range(3)), "decisions": decisions_shard(decisions)}
    for name, shard in shards.items():
        assert shard
        with shard:
            shard.seek(0)
            (tmp_path / f"{name}.parquet").write_bytes(shard.read())
    paths = [tmp_path / "rows.parquet", tmp_path / "decisions.parquet", nothing(tmp_path / "nothing.parquet")]
    first = TriedShards(tmp_path).problems(paths)
    assert list(first) == [tmp_path / "nothing.parquet"]
    monkeypatch.setattr("feedback.hub.shards.try_shards", None)
    assert TriedShards(tmp_path).problems(paths) == first


def test_what_a_process_did_not_come_to_say_is_blamed_on_one_file_alone(tmp_path: Path) -> None:
    good = written(tmp_path / "good.parquet", ROWS)
    paths = [good, tmp_path / "bad.parquet", written(tmp_path / "late.parquet", ROWS)]
    with_lie(paths[1])
    found = try_shards(paths)
    assert [bool(found[path]) for path in paths] == [False, True, False], found

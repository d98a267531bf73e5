"""Many pictures: from files, Parquet and the Hub into a folder of Parquet files, interrupted or not."""

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catdog.__main__ import main
from catdog.cli import run
from devhub.server import Running
from tests.conftest import ROOT
from tests.toy import encoded, textured, toy_model

COLOURS = ("red", "lime", "blue")
FILES = 9
ROWS = 25


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def predict(*arguments: str | Path, model: Path, **more: str) -> Done:
    """The command, in this process: starting one costs more than most of the work."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in {"CATDOG_MODEL": str(model), **more}.items():
            patch.setenv(name, value)
        code = run(main, ["predict", *map(str, arguments)])
    return Done(code, out.getvalue(), err.getvalue())


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "catdog", "predict", *map(str, arguments)]


def environment(model: Path) -> dict[str, str]:
    return {"CATDOG_MODEL": str(model), "PATH": os.environ["PATH"]}


def answers(folder: Path) -> list[dict[str, Any]]:
    """All rows, read without the code that wrote them."""
    tables = [pq.read_table(path) for path in sorted(folder.glob("*.parquet"))]
    return [] if not tables else pa.concat_tables(tables).to_pylist()


def table(pictures: Sequence[bytes | None], path: Path | io.BytesIO, *, group: int) -> None:
    """Parquet as `datasets` writes it."""
    cells = [{"bytes": data, "path": None} for data in pictures]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"n": pa.array(range(len(cells))), "image": pa.array(cells, kind)}
    pq.write_table(pa.table(columns), path, row_group_size=group)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_model(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files, and below them a Parquet file with five row groups; one picture of each kind is none."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "below").mkdir()
    for index in range(FILES):
        (folder / f"{index}.jpg").write_bytes(encoded(textured(COLOURS[index % 3])))
    (folder / "broken.jpg").write_bytes(b"no image")
    pictures = [encoded(textured(COLOURS[index % 3])) for index in range(ROWS)]
    table([*pictures[:-2], None, b"no image"], folder / "below" / "rows.parquet", group=5)
    return folder


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, model: Path, photos: Path) -> Path:
    """The answers of one process."""
    out = tmp_path_factory.mktemp("scored") / "out"
    done = predict(photos, "--out", out, "--part-size", "7", model=model)
    assert done.returncode == 0, done.stderr
    assert f"{FILES + ROWS - 2} classified, 3 failed" in done.stderr
    assert done.stdout == ""
    return out


def test_files_and_rows_become_one_table(scored: Path, photos: Path) -> None:
    rows = answers(scored)
    files, cells = rows[: FILES + 1], rows[FILES + 1 :]
    assert [row["path"] for row in files] == sorted(str(path) for path in photos.glob("*.jpg"))
    assert [row["row"] for row in files] == [None] * (FILES + 1)
    assert {row["path"] for row in cells} == {str(photos / "below" / "rows.parquet")}
    assert [row["row"] for row in cells] == list(range(ROWS))
    for row, colour in zip(cells[:-2], ("red", "green", "blue") * ROWS, strict=False):
        assert row["label"] == row["verdict"] == colour
        assert row["confidence"] == row["probabilities"][colour] > 0.5
        assert row["error"] is None
    assert [row["error"] for row in (files[-1], *cells[-2:])] == ["unreadable_image"] * 3
    assert {row["label"] for row in (files[-1], *cells[-2:])} == {None}
    assert len({row["model_revision"] for row in rows}) == 1


def test_row_groups_are_shared_out_and_never_divided(scored: Path) -> None:
    counts = [pq.read_metadata(path).num_rows for path in sorted(scored.glob("*.parquet"))]
    assert counts == [7, 3, 10, 10, 5]


def test_a_folder_of_answers_is_one_data_frame(photos: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    predict(photos, "--out", out, "--part-size", "7", model=model)
    assert len(pd.read_parquet(out)) == len(answers(out))
    (out / "_plan.json").rename(out / "plan.json")  # as earlier versions called it
    assert predict(photos, "--out", out, "--part-size", "7", model=model).returncode == 0
    assert len(pd.read_parquet(out)) == len(answers(out))


def test_parquet_can_be_looked_at_without_writing_any(photos: Path, model: Path) -> None:
    done = predict(photos / "below" / "rows.parquet", "--format", "json", model=model)
    rows = json.loads(done.stdout)
    assert [row["path"].rpartition("#")[2] for row in rows] == [str(index) for index in range(ROWS)]
    assert rows[1]["label"] == "green"


@pytest.mark.slow
def test_killed_in_the_middle_and_started_again_nothing_is_missing_or_there_twice(model: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "many.parquet", tmp_path / "out"
    table([encoded(textured())] * 500, source, group=5)
    asked = (source, "--out", out, "--part-size", "5")
    process = subprocess.Popen(command(*asked), cwd=ROOT, env=environment(model), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob("*.parquet")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    assert 0 < len(before) < 100
    again = predict(*asked, model=model)
    assert again.returncode == 0, again.stderr
    assert f"{len(before)} parts were there already" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert Counter(row["row"] for row in answers(out)) == Counter(range(500))


def test_a_data_set_on_the_hub_is_read_where_it_is(hub: Running, model: Path, photos: Path, tmp_path: Path) -> None:
    from huggingface_hub import HfApi  # noqa: PLC0415

    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo("me/photos", repo_type="dataset", private=True)
    rows = photos / "below" / "rows.parquet"
    where = {"repo_id": "me/photos", "repo_type": "dataset"}
    commit = api.upload_file(path_or_fileobj=rows, path_in_repo="data/rows.parquet", **where).oid
    hub_is = {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token}
    out = tmp_path / "out"
    done = predict("hf://datasets/me/photos", "--out", out, "--part-size", "5", model=model, **hub_is)
    assert done.returncode == 0, done.stderr
    assert {row["path"] for row in answers(out)} == {f"hf://datasets/me/photos@{commit}/data/rows.parquet"}
    here = tmp_path / "here"
    predict(rows, "--out", here, "--part-size", "5", model=model)
    assert [row | {"path": ""} for row in answers(out)] == [row | {"path": ""} for row in answers(here)]
    missing = predict("hf://datasets/me/nowhere", model=model, **hub_is)
    assert (missing.returncode, "Traceback" in missing.stderr) == (1, False)
    assert "Could not read hf://datasets/me/nowhere" in missing.stderr


def test_the_answers_of_another_model_or_collection_are_not_mixed_in(
    scored: Path, photos: Path, model: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(scored, tmp_path / "out")
    (out / "part-00000.parquet").unlink()
    other = toy_model(tmp_path / "other", ("a", "b"))
    refused = predict(photos, "--out", out, "--part-size", "7", model=other)
    assert (refused.returncode, "another model" in refused.stderr) == (2, True)
    refused = predict(photos / "below", "--out", out, "--part-size", "7", model=model)
    assert (refused.returncode, "collection" in refused.stderr) == (2, True)
    assert len(list(out.glob("*.parquet"))) == 4
    foreign = predict(photos, "--out", photos / "below", model=model)
    assert (foreign.returncode, "not of this command" in foreign.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["x.jpg", "--engine", "ray"], 2, "--out"),
        (["x.jpg", "--out", "{tmp}/out", "--format", "csv"], 2, "--format"),
        (["hf://spaces/me/x"], 2, "USER/NAME"),
        (["hf://datasets/a b/c"], 2, "USER/NAME"),
        (["{tmp}/" + "x" * 300 + ".parquet"], 1, "File name too long"),
        (["{tmp}/broken.parquet"], 1, "cannot be read as Parquet"),
        (["{tmp}/missing.parquet"], 1, "cannot be read as Parquet"),
        (["{tmp}/numbers.parquet"], 1, "no column of pictures, only n"),
        (["{tmp}/words.parquet"], 1, "no column of pictures, only image"),
        (["{tmp}/damaged.parquet"], 1, "cannot be read as Parquet"),
        (["x.jpg", "--out", "{tmp}/broken.parquet/out"], 2, "cannot be written"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    arguments: list[str], code: int, says: str, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    pq.write_table(pa.table({"n": [1, 2]}), tmp_path / "numbers.parquet")
    pq.write_table(pa.table({"image": [{"bytes": "words"}]}), tmp_path / "words.parquet")
    damaged_rows(tmp_path / "damaged.parquet")
    done = predict(*(each.format(tmp=tmp_path) for each in arguments), model=model)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def damaged_rows(path: Path) -> None:
    """Parquet whose last row group cannot be read."""
    table([encoded(textured())] * 10, path, group=5)
    column = pq.read_metadata(path).row_group(1).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    data = path.read_bytes()
    path.write_bytes(data[:start] + bytes(column.total_compressed_size) + data[start + column.total_compressed_size :])


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A photo whose name is not UTF-8, one that is fine, and Parquet of every kind that cannot be used."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(encoded(textured("red")))
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.jpg")).write_bytes(encoded(textured("blue")))
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.parquet")).write_bytes(b"no parquet")
    pq.write_table(pa.table({"n": [1, 2]}), folder / "numbers.parquet")
    pq.write_table(pa.table({"image": [{"bytes": "words"}]}), folder / "words.parquet")
    damaged_rows(folder / "damaged.parquet")
    return folder


MIXED_FAILED = {
    "damaged.parquet": "cannot be read as Parquet",
    "numbers.parquet": "no column of pictures, only n",
    "words.parquet": "no column of pictures, only image",
    "\\xff.parquet": "cannot be read as Parquet",
}


@pytest.mark.parametrize("format_", ["table", "json", "csv"])
def test_what_cannot_be_read_in_a_folder_is_reported_and_the_rest_classified(
    mixed: Path, model: Path, format_: str
) -> None:
    done = predict(mixed, "--format", format_, "--part-size", "5", model=model)
    assert "\\xff.jpg" in done.stdout.encode().decode()
    assert (done.returncode, "7 classified, 4 failed" in done.stderr) == (0, True), done.stderr


def test_what_cannot_be_read_in_a_folder_is_among_the_answers_and_not_asked_again(
    mixed: Path, model: Path, tmp_path: Path
) -> None:
    asked = (mixed, "--out", tmp_path / "out", "--part-size", "5")
    done = predict(*asked, model=model)
    assert (done.returncode, "7 classified, 4 failed" in done.stderr) == (0, True), done.stderr
    rows = answers(tmp_path / "out")
    failed = {Path(row["path"]).name: row["detail"] for row in rows if row["error"] == "unreadable_image"}
    assert failed.keys() == MIXED_FAILED.keys()
    assert all(MIXED_FAILED[name] in failed[name] for name in failed)
    assert {Path(row["path"]).name for row in rows} - failed.keys() == {"a.jpg", "\\xff.jpg"}
    assert "0 classified, 0 failed" in predict(*asked, model=model).stderr


@pytest.mark.slow
def test_ray_reports_what_cannot_be_read_in_a_folder_too(mixed: Path, model: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("the optional package ray is not installed")
    predict(mixed, "--out", tmp_path / "here", "--part-size", "5", model=model)
    asked = command(mixed, "--out", tmp_path / "out", "--part-size", "5", "--engine", "ray")
    done = subprocess.run(
        asked, cwd=ROOT, env=environment(model), capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert answers(tmp_path / "out") == answers(tmp_path / "here")


@pytest.mark.slow
def test_ray_finishes_what_another_began_with_the_same_answers(
    scored: Path, photos: Path, model: Path, tmp_path: Path
) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("the optional package ray is not installed")
    out = shutil.copytree(scored, tmp_path / "out")
    for number in (0, 3, 4):
        (out / f"part-{number:05}.parquet").unlink()
    asked = command(photos, "--out", out, "--part-size", "7", "--engine", "ray")
    done = subprocess.run(
        asked, cwd=ROOT, env=environment(model), capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert "2 parts were there already" in done.stderr
    assert answers(out) == answers(scored)


def test_whatever_is_left_out_of_a_folder_is_counted_and_named(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / ".trash").mkdir(parents=True)
    for name in ("a.jpg", "b.PJPEG", "without_suffix", ".trash/c.jpg", "._a.jpg"):
        (folder / name).write_bytes(encoded(textured("red"), "JPEG"))
    (folder / "notes\x1b[31m.txt").write_text("no picture")
    os.mkfifo(folder / "pipe.jpg")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "d.jpg").write_bytes(encoded(textured("red"), "JPEG"))
    (folder / "link").symlink_to(elsewhere)
    (folder / "circle").symlink_to(folder)
    done = predict(folder, model=model)
    assert done.returncode == 0, done.stderr
    assert "4 classified, 0 failed" in done.stderr
    assert "5 files are left out: " in done.stderr
    for reason in ("in a hidden folder", "hidden", ".txt isn't read", "a named pipe", "a link to a folder above it"):
        assert f"{reason} (1)" in done.stderr
    assert r"notes\x1b[31m.txt" in done.stderr
    assert str(folder / "link" / "d.jpg") in done.stdout

"""`python -m feedback`."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from catdog.cli import run
from feedback.__main__ import main
from feedback.journal.journal import Journal
from tests.conftest import ROOT
from tests.feedback.rows import some_row


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A journal with two corrections, one of them changed, and one confirmation."""
    folder = tmp_path / "data"
    with Journal.open(folder) as journal:
        for request_id, label in (("1", "dog"), ("2", "dog"), ("2", "neither"), ("3", "cat")):
            journal.append(some_row(request_id=request_id, corrected_label=label))
    return folder


def test_stats_count_by_label_and_revision(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["stats", "--data-dir", str(data_dir)]) == 0
    out = capsys.readouterr().out
    assert "3 answered predictions (4 rows): 2 corrections, 1 confirmation\n" in out
    lines = [line.split() for line in out.splitlines()]
    assert ["cat", "1", "1", "1"] in lines
    assert ["someone/cat-or-dog", "local-0123456789ab", "2", "1"] in lines


def test_stats_are_json_for_programs(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["stats", "--format", "json", "--data-dir", str(data_dir)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["requests"], found["corrections"], found["confirmations"]) == (4, 3, 2, 1)
    assert {answer["corrected_label"]: answer["requests"] for answer in found["answers"]} == {
        "dog": 1, "neither": 1, "cat": 1,
    }  # fmt: skip


def test_the_data_folder_comes_from_the_settings(
    data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATDOG_DATA_DIR", str(data_dir))
    assert run(main, ["stats"]) == 0
    assert "3 answered predictions" in capsys.readouterr().out


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_stats_without_a_journal_are_zero_and_create_nothing(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert run(main, ["stats", "--data-dir", str(tmp_path / folder)]) == 0
    assert "No feedback" in capsys.readouterr().out
    assert run(main, ["stats", "--format", "json", "--data-dir", str(tmp_path / folder)]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 0
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_export_writes_the_newest_answer_to_each_request(data_dir: Path, tmp_path: Path) -> None:
    assert run(main, ["export", "--out", str(tmp_path / "out"), "--data-dir", str(data_dir)]) == 0
    table = pq.read_table(tmp_path / "out")
    assert table["request_id"].to_pylist() == ["1", "2", "3"]
    assert table["corrected_label"].to_pylist() == ["dog", "neither", "cat"]


def test_nothing_to_export_is_a_failure_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Journal.open(tmp_path / "empty").close()
    for folder in ("missing", "empty"):
        arguments = ["export", "--out", str(tmp_path / "out"), "--data-dir", str(tmp_path / folder)]
        assert run(main, arguments) == 1
        assert "nothing was exported" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "missing").exists()


def test_a_command_that_does_not_exist_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["frobnicate"])
    assert exit_.value.code == 2


def test_only_export_loads_pyarrow() -> None:
    code = "import sys, feedback.__main__; sys.exit('pyarrow' in sys.modules or 'onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

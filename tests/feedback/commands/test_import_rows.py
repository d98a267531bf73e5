"""`python -m feedback import`: what the static page exported."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from catdog.cli import run
from feedback.__main__ import main
from feedback.journal.journal import Journal
from tests.toy import encoded, picture


def kept(**changes: object) -> dict[str, Any]:
    """A correction as `browser/ask.js` writes it."""
    return {
        "schema_version": 1,
        "request_id": "0" * 31 + "1",
        "created_at": "2026-02-03T04:05:06.789Z",
        "image": base64.b64encode(encoded(picture("red", (40, 30)))).decode(),
        "labels": ["cat", "dog"],
        "probabilities": [0.75, 0.25],
        "verdict": "cat",
        "neither_score": 0.5,
        "corrected_label": "dog",
        "model_id": "someone/cat-or-dog",
        "model_revision": "local-0123456789ab",
        "app_version": "0.1.0",
        **changes,
    }


def write(folder: Path, *corrections: dict[str, Any] | str) -> Path:
    path = folder / "corrections.jsonl"
    path.write_text("".join(f"{c if isinstance(c, str) else json.dumps(c)}\n" for c in corrections))
    return path


def imported(folder: Path, *corrections: dict[str, Any] | str) -> int:
    return run(main, ["import", str(write(folder, *corrections)), "--data-dir", str(folder / "data")])


def test_an_exported_correction_becomes_a_row(tmp_path: Path) -> None:
    assert imported(tmp_path, kept()) == 0
    with Journal.open(tmp_path / "data") as journal:
        (row,) = journal.rows()
    assert (row.predicted_label, row.corrected_label, row.verdict, row.source) == ("cat", "dog", "cat", "browser")
    assert (row.probabilities, row.model_revision) == ((0.75, 0.25), "local-0123456789ab")
    assert row.created_at.isoformat() == "2026-02-03T04:05:06.789000+00:00"
    assert json.loads(row.extra) == {"neither_score": 0.5, "page_version": "0.1.0"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_windows_made_of_the_file_changes_nothing(tmp_path: Path, encoding: str, end: str) -> None:
    lines = [json.dumps(kept(request_id=f"{number:032x}")) for number in (1, 2)]
    path = tmp_path / "corrections.jsonl"
    path.write_bytes(end.join(lines).encode(encoding))
    assert run(main, ["import", str(path), "--data-dir", str(tmp_path / "data")]) == 0
    with Journal.open(tmp_path / "data") as journal:
        assert len(list(journal.rows())) == 2


def test_importing_again_adds_nothing_but_another_answer_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(tmp_path, kept()) == imported(tmp_path, kept(), kept(corrected_label="neither")) == 0
    assert "1 correction imported, 1 known before" in capsys.readouterr().err
    with Journal.open(tmp_path / "data") as journal:
        assert [row.corrected_label for row in journal.rows()] == ["dog", "neither"]


def test_an_older_file_does_not_override_a_later_answer_nor_does_any_file_twice(tmp_path: Path) -> None:
    older, later = kept(), kept(corrected_label="neither", created_at="2026-02-03T04:10:00Z")
    for correction in (later, older, later, older):
        assert imported(tmp_path, correction) == 0
    with Journal.open(tmp_path / "data") as journal:
        assert [row.corrected_label for row in journal.rows()] == ["neither"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"created_at": "0001-01-01T00:00:00+14:00"},
        {"image": base64.b64encode(b"no picture").decode()},
        {"image": "%%%"},
        {"corrected_label": "horse"},
        {"verdict": "dog"},
        {"probabilities": [0.75, 0.75]},
        {"probabilities": [1.0]},
        {"probabilities": [float("nan"), 1.0]},
        {"labels": ["cat", "neither"]},
        {"created_at": "2999-01-01T00:00:00Z"},
        {"created_at": "2026-01-01T00:00:00"},
        {"request_id": "../x"},
        {"schema_version": 2},
        {"client": "somebody"},
    ],
    ids="-".join,
)
def test_what_cannot_be_true_is_left_out_and_the_rest_is_kept(
    wrong: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(tmp_path, kept(**wrong), kept()) == 1
    err = capsys.readouterr().err
    assert "1 correction imported" in err
    assert "line 1: " in err
    assert "Traceback" not in err


def test_a_file_of_another_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert imported(tmp_path, "label,count") == 1
    assert "line 1: " in capsys.readouterr().err
    assert run(main, ["import", str(tmp_path / "none"), "--data-dir", str(tmp_path / "data")]) == 2
    assert "cannot be read" in capsys.readouterr().err

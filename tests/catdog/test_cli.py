"""`python -m catdog predict`, as a person or a script calls it."""

import argparse
import csv
import importlib
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from catdog.__main__ import main
from catdog.batch.classify import Result
from catdog.batch.report import write_results
from catdog.cli import run
from catdog.model.metadata import Verdict
from catdog.model.model import Prediction
from devhub.server import Running
from tests.conftest import ROOT
from tests.toy import encoded, picture, toy_model

pytestmark = pytest.mark.slow  # many short ones: together half a minute


def catdog(*arguments: str | Path, model: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "catdog", *map(str, arguments)],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=60,
        env={"CATDOG_MODEL": str(model), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_model(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "below").mkdir()
    (folder / "a.jpg").write_bytes(encoded(picture("red")))
    (folder / "below" / "b.PNG").write_bytes(encoded(picture("blue"), "PNG"))
    (folder / "broken.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("not asked for")
    return folder


def test_a_folder_becomes_a_table_with_progress_on_stderr(model: Path, photos: Path) -> None:
    done = catdog("predict", photos, model=model)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["red", "-", "blue"]
    assert "broken.jpg: This image can't be read" in lines[1]
    assert "2 classified, 1 failed" in done.stderr


def test_json_is_one_document(model: Path, photos: Path) -> None:
    done = catdog("predict", photos, "--format", "json", model=model)
    first, broken, last = json.loads(done.stdout)
    assert first["label"] == first["verdict"] == "red"
    assert first["confidence"] == first["probabilities"]["red"] > 0.9
    assert broken["error"] == "unreadable_image"
    assert last["path"] == str(photos / "below" / "b.PNG")


def test_csv_has_a_column_for_each_label(model: Path, photos: Path) -> None:
    done = catdog("predict", photos, "--format", "csv", model=model)
    first, broken, _ = csv.DictReader(io.StringIO(done.stdout))
    assert float(first["red"]) > 0.9 > float(first["blue"])
    assert broken["error"] == "unreadable_image"
    assert broken["red"] == ""


def test_a_file_name_never_becomes_a_formula(model: Path) -> None:
    done = catdog("predict", "=missing.jpg", "--format", "csv", model=model)
    assert "\n./=missing.jpg," in done.stdout


def test_a_label_never_becomes_a_formula() -> None:
    prediction = Prediction(
        labels=("=1+1", "@b"), probabilities=(0.9, 0.1), verdict=Verdict("=1+1"), positive_label=None, neither_score=None,
        model_id="m", model_revision="r",
    )  # fmt: skip
    out = io.StringIO()
    write_results([Result("a.jpg", None, "a.jpg", prediction)], prediction.labels, format_="csv", out=out)
    assert out.getvalue().splitlines() == [
        "path,label,verdict,confidence,'=1+1,'@b,error,detail", "a.jpg,'=1+1,'=1+1,0.9,0.9,0.1,,"
    ]  # fmt: skip


def test_when_nothing_can_be_classified_the_exit_code_is_1(model: Path, tmp_path: Path) -> None:
    for name in ("missing.jpg", "x" * 300 + ".jpg"):
        done = catdog("predict", tmp_path / name, model=model)
        assert (done.returncode, "0 classified, 1 failed" in done.stderr) == (1, True)
    empty = catdog("predict", tmp_path, "--format", "json", model=model)
    assert empty.returncode == 1
    assert json.loads(empty.stdout) == []


@pytest.mark.parametrize(
    ("arguments", "model_name", "says"),
    [
        (["predict"], "model", "PATH"),
        (["predict", "x.jpg", "--format", "xml"], "model", "xml"),
        ([], "model", "COMMAND"),
        (["predict", "x.jpg"], "nowhere", "CATDOG_MODEL"),
        (["predict", "x.jpg"], "tests", "metadata.json"),
    ],
)
def test_wrong_usage_is_exit_2_without_a_traceback(arguments: list[str], model_name: str, says: str) -> None:
    done = catdog(*arguments, model=model_name)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_cannot_be_written_is_a_sentence(model: Path, photos: Path, unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "catdog", "predict", photos], stdout=full, stderr=subprocess.PIPE, text=True,
            cwd=ROOT, check=False, timeout=60,
            env={"CATDOG_MODEL": str(model), "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: The output cannot be written: No space left on device.")
    assert "Traceback" not in done.stderr


def test_requests_to_the_hub_are_not_told_one_by_one(hub: Running, photos: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "catdog", "predict", photos], capture_output=True, text=True, cwd=ROOT, check=False,
        env={"CATDOG_MODEL": "me/missing", "HF_ENDPOINT": hub.url, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert "no such repository" in done.stderr
    assert "HTTP Request" not in done.stderr


def test_a_closed_pipe_is_no_traceback(model: Path, photos: Path) -> None:
    command = f"{sys.executable} -m catdog predict {photos} {photos} | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False,
        env={"CATDOG_MODEL": str(model), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("format_", ["table", "json", "csv"])
def test_escape_sequences_in_names_never_reach_a_terminal(
    format_: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATDOG_MODEL", str(model))
    name = "\x1b]0;title\x07\x1b[31m\u202egpj.\x9b1m.png"
    (tmp_path / name).write_bytes(encoded(picture("red"), "PNG"))
    (tmp_path / f"{name}.txt").write_text("left out")
    (tmp_path / f"broken{name}").write_bytes(b"no picture")
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, redirect_stdout(terminal), redirect_stderr(terminal):
        assert run(main, ["predict", str(tmp_path), "--format", format_]) == 0
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert r"\x1b]0;title\x07\x1b[31m\u202egpj.\x9b1m.png" in shown.replace("\\u001b", r"\x1b").replace(
        "\\u0007", r"\x07"
    )
    assert not set(shown) & set("\x1b\x07\u202e\x9b")


def test_a_file_gets_names_as_they_are(model: Path, tmp_path: Path) -> None:
    (tmp_path / "\x1b[31m.png").write_bytes(encoded(picture("red"), "PNG"))
    done = catdog("predict", tmp_path, "--format", "csv", model=model)
    assert "\x1b[31m.png" in done.stdout


def test_an_error_shows_what_was_asked_for_without_its_escape_sequences(model: Path) -> None:
    for arguments in (["predict", "--format", "\x1b[31m", "x"], ["predict", "x", "--model", "a/b\x1b[31m"]):
        done = catdog(*arguments, model=model)
        assert (done.returncode, "\x1b" in done.stderr) == (2, False)
        assert r"\x1b[31m" in done.stderr


@pytest.mark.parametrize("package", ["catdog", "feedback", "deploy", "train"])
def test_shells_complete_every_command(package: str) -> None:
    pytest.importorskip("shtab")
    words = [sys.executable, "-m", package, "--print-completion", "bash"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "complete -" in done.stdout


@pytest.mark.parametrize("package", ["catdog", "feedback", "deploy", "train"])
def test_every_subcommand_explains_itself(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parsers: list[argparse.ArgumentParser] = []
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", lambda self, _argv: sys.exit(parsers.append(self)))
    with pytest.raises(SystemExit):
        importlib.import_module(f"{package}.__main__").main([])
    (commands,) = [each for each in parsers[0]._actions if isinstance(each.choices, dict)]
    for name, parser in dict(commands.choices or {}).items():
        assert parser.description, name
        assert [action.dest for action in parser._actions if action.help is None] == [], name

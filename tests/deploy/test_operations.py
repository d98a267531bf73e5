"""The operating guide: what it tells to do works, on a journal that is being written to."""

import re
import shlex
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import pytest

from feedback.journal.journal import JOURNAL_FILE, Journal
from tests.conftest import ROOT
from tests.feedback.rows import some_row

DOCS = [ROOT / "docs" / name for name in ("operations.md", "deploy.md", "architecture.md")]
GUIDE = DOCS[0].read_text()


def backup_command() -> list[str]:
    (line,) = re.findall(r"^python3 -c .+ data/journal\.sqlite3 backup\.sqlite3$", GUIDE, re.MULTILINE)
    return [sys.executable, *shlex.split(line)[1:]]


def test_a_backup_of_a_journal_in_use_is_complete_and_can_be_restored(tmp_path: Path) -> None:
    data, enough, stop = tmp_path / "data", threading.Event(), threading.Event()
    acknowledged: list[str] = []

    def write() -> None:
        while not stop.is_set():
            acknowledged.append(journal.append(some_row()).id)
            if len(acknowledged) == 20:
                enough.set()

    with Journal.open(data) as journal:
        writer = threading.Thread(target=write)
        writer.start()
        assert enough.wait(60)
        before = set(acknowledged)
        done = subprocess.run(backup_command(), cwd=tmp_path, capture_output=True, text=True, check=False)
        stop.set()
        writer.join()
    assert done.returncode == 0, done.stderr
    for path in data.glob(f"{JOURNAL_FILE}*"):
        path.unlink()
    (tmp_path / "backup.sqlite3").rename(data / JOURNAL_FILE)
    with Journal.open(data) as journal:
        restored = list(journal.rows())
        assert before <= {row.id for row in restored} <= set(acknowledged)
        assert all(row.image for row in restored)
        journal.append(some_row())


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_link_and_every_file_that_the_docs_name_is_there(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (path.parent / target).exists(), target
    for name in re.findall(r"`((?:catdog|feedback|train|web|deploy|devhub|\.github)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("path", DOCS[:2], ids=lambda path: path.name)
def test_every_command_that_the_docs_name_is_there(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = set(re.findall(r"python -m (\w+) (\w+)((?: --[\w-]+)?)", path.read_text()))
    assert commands
    for package, command, option in sorted(commands):
        with pytest.raises(SystemExit, match="0"):
            import_module(f"{package}.__main__").main([command, "--help"])
        assert option.strip() in capsys.readouterr().out, f"python -m {package} {command} has no {option}"

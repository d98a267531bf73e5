"""The operating guide: what it tells to do works, on a journal that is being written to."""

import re
import shlex
import shutil
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import pytest

from feedback.journal.journal import JOURNAL_FILE, Journal
from tests.conftest import ROOT, missing_tool
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


def test_what_can_be_read_of_a_damaged_journal_is_saved_as_the_guide_says(tmp_path: Path) -> None:
    if not (shutil.which("sqlite3") and shutil.which("sh")):
        missing_tool("sqlite3 is not installed")
    data, broken = tmp_path / "data", tmp_path / "broken"
    with Journal.open(data) as journal:
        ids = {journal.append(some_row()).id for _ in range(40)}
    data.rename(broken)
    data.mkdir()
    path = broken / JOURNAL_FILE
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = bytes(range(256)) * 16
    path.write_bytes(content)
    (script,) = re.findall(r"```sh\n(\{ sqlite3 broken.+?)```", GUIDE, re.DOTALL)
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    with Journal.open(data) as journal:
        saved = {row.id for row in journal.rows()}
        journal.append(some_row())
    assert saved <= ids, done.stderr
    assert len(saved) >= len(ids) // 2, done.stderr


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

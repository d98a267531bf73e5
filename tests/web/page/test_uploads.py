"""Uploads live in a folder of one process, and not for long."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.web.conftest import wait_for
from web.page.uploads import UploadFolder

MAKE = """
import sys, time
from pathlib import Path
from web.page.uploads import UploadFolder
folder = UploadFolder(parent=Path(sys.argv[1]))
(folder.path / "photo.jpg").write_bytes(b"photo")
print("made", flush=True)
time.sleep(600)
"""


def put(folder: UploadFolder, name: str, *, age_s: float = 0, size: int = 5) -> Path:
    path = folder.path / name / "photo.jpg"
    path.parent.mkdir()
    path.write_bytes(bytes(size))
    then = time.time() - age_s
    for each in (path, path.parent):
        os.utime(each, (then, then))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> UploadFolder:
    return UploadFolder(parent=tmp_path, max_bytes=1000)


def test_files_go_when_they_are_ten_minutes_old_and_their_folders_with_them(folder: UploadFolder) -> None:
    old, new = put(folder, "old", age_s=601), put(folder, "new", age_s=590)
    folder.sweep()
    assert (old.exists(), new.exists()) == (False, True)
    os.utime(old.parent, (0, 0))
    folder.sweep()
    assert not old.parent.exists()
    folder.stop()


def test_of_too_much_the_oldest_goes_early(folder: UploadFolder) -> None:
    first, second, third = (put(folder, name, age_s=age, size=400) for name, age in (("a", 30), ("b", 20), ("c", 10)))
    folder.sweep()
    assert [path.exists() for path in (first, second, third)] == [False, True, True]
    folder.stop()


def test_sweeping_goes_on_by_itself_and_ends_with_the_folder(tmp_path: Path) -> None:
    folder = UploadFolder(parent=tmp_path, every_s=0.01)
    folder.start()
    old = put(folder, "old", age_s=700)
    wait_for(lambda: not old.exists(), "the file to go")
    put(folder, "new")
    folder.stop()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_at_the_next_start_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"made\n"
        (left,) = tmp_path.iterdir()
        os.utime(left, (0, 0))
        UploadFolder(parent=tmp_path).stop()
        assert (left / "photo.jpg").exists()
        process.send_signal(signal.SIGKILL)
    UploadFolder(parent=tmp_path).stop()
    assert list(tmp_path.iterdir()) == []

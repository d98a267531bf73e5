"""The journal keeps what it acknowledged, once, and forgets what it is told to forget."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catdog.errors import CatdogError, FeedbackError, KeyReusedError, SettingsError
from feedback.journal import database
from feedback.journal import journal as journals
from feedback.journal.journal import JOURNAL_FILE, Journal, Pending
from tests.conftest import ROOT
from tests.feedback.rows import some_row


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path) as journal:
        yield journal


def writer(folder: Path, count: int, *limit: str) -> subprocess.Popen[str]:
    """Another process that appends rows and prints id and hash of each once it is acknowledged."""
    command = [sys.executable, "-m", "tests.feedback.rows", str(folder), str(count), *limit]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


OPEN_AS_ANYONE = """
import os, sys
from pathlib import Path
from catdog.cli import run
from feedback.journal.journal import Journal
if os.geteuid() == 0:  # nothing is read-only for root
    os.setuid(65534)
sys.exit(run(lambda _: Journal.open(Path()) and 0, []))
"""


def on_disk(folder: Path) -> bytes:
    """Every byte of every file of the journal."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def hashes(journal: Journal) -> dict[str, str]:
    return {row.id: row.image_sha256 for row in journal.rows()}


def test_a_row_comes_back_as_it_was(journal: Journal) -> None:
    row = some_row(extra='{"note": "ä\\u0000"}', labels=("cat", 'dog, "big"'), probabilities=(1 / 3, 2 / 3))
    saved = journal.append(row)
    assert (saved.id, saved.created) == (row.id, True)
    assert list(journal.rows()) == [row]
    assert journal.status(row.id) == "saved"


def test_rows_are_there_after_a_restart(tmp_path: Path) -> None:
    rows = [some_row() for _ in range(3)]
    with Journal.open(tmp_path) as journal:
        for row in rows:
            journal.append(row)
    with Journal.open(tmp_path) as journal:
        assert list(journal.rows()) == rows


def test_an_unknown_row_has_no_status(journal: Journal) -> None:
    assert journal.status("nothing") is None
    assert journal.status("\ud800") is None


def test_rows_come_in_the_order_of_their_ids_however_many(journal: Journal) -> None:
    rows = [some_row() for _ in range(250)]
    for row in reversed(rows):
        journal.append(row)
    assert [row.id for row in journal.rows()] == [row.id for row in rows]


def test_the_same_idempotency_key_gives_the_same_row(journal: Journal) -> None:
    row = some_row()
    first = journal.append(row, idempotency_key="k")
    again = journal.append(replace(some_row(), image_sha256=row.image_sha256), idempotency_key="k")
    assert (again.id, again.created, again.receipt) == (first.id, False, None)
    assert journal.pending().rows == 1


@pytest.mark.parametrize(("request_id", "label"), [("r", "cat"), ("another", "dog")])
def test_an_idempotency_key_for_two_answers_is_refused(journal: Journal, request_id: str, label: str) -> None:
    journal.append(some_row(request_id="r"), idempotency_key="1")
    with pytest.raises(KeyReusedError, match="NOT saved"):
        journal.append(some_row(request_id=request_id, corrected_label=label), idempotency_key="1")
    assert journal.pending().rows == 1


def test_an_idempotency_key_may_be_any_text(journal: Journal) -> None:
    keys = ["", "\ud800", "x" * 10_000, "'; DROP TABLE rows; --"]
    assert all(journal.append(some_row(), idempotency_key=key).created for key in keys)


def test_the_same_answer_to_a_request_counts_once(journal: Journal) -> None:
    first = journal.append(some_row(request_id="r"))
    again = journal.append(some_row(request_id="r"))
    assert (again.id, again.created, again.receipt) == (first.id, False, None)
    assert journal.stats().requests == 1


def test_a_changed_answer_is_a_new_row_and_the_newest_counts(journal: Journal) -> None:
    answers = [some_row(request_id="r", corrected_label=label) for label in ("dog", "neither", "dog")]
    assert [journal.append(answer).created for answer in answers] == [True, True, True]
    assert list(journal.rows()) == answers
    assert list(journal.rows(newest_only=True)) == answers[-1:]


def test_the_newest_answer_counts_when_the_clock_was_set_back(journal: Journal) -> None:
    earlier, later = some_row(request_id="r", corrected_label="cat"), some_row(request_id="r")
    journal.append(later)
    saved = journal.append(earlier)
    assert saved.id > later.id
    assert [row.corrected_label for row in journal.rows(newest_only=True)] == ["cat"]


def test_many_threads_lose_and_repeat_nothing(journal: Journal) -> None:
    rows = [some_row() for _ in range(160)]
    with ThreadPoolExecutor(16) as pool:
        saved = list(pool.map(journal.append, rows))
    assert [s.id for s in saved] == [row.id for row in rows]
    assert list(journal.rows()) == rows


def test_sixteen_clicks_at_once_make_one_row(journal: Journal) -> None:
    gate = threading.Barrier(16)

    def click(_: int) -> bool:
        row = some_row(request_id="r")
        gate.wait(timeout=60)
        return journal.append(row).created

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(click, range(16))) == 1
    assert journal.pending().rows == 1


def test_two_processes_write_to_one_folder(journal: Journal, tmp_path: Path) -> None:
    processes = [writer(tmp_path, 40) for _ in range(2)]
    own = [journal.append(some_row()).id for _ in range(40)]
    acknowledged = dict(
        line.split() for process in processes for line in process.communicate(timeout=60)[0].splitlines()
    )
    assert len(acknowledged) == 80
    assert acknowledged.items() <= hashes(journal).items()
    assert hashes(journal).keys() == {*acknowledged, *own}


@pytest.mark.parametrize("rows_before_the_kill", [1, 40, 200])
def test_a_killed_process_loses_no_acknowledged_row(tmp_path: Path, rows_before_the_kill: int) -> None:
    process = writer(tmp_path, 100_000)
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(rows_before_the_kill)]
    process.kill()
    lines += [line for line in process.communicate(timeout=60)[0].splitlines(keepends=True) if line.endswith("\n")]
    with Journal.open(tmp_path) as journal:
        assert dict(line.split() for line in lines).items() <= hashes(journal).items()
        assert journal.append(some_row()).created


def test_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    process = writer(tmp_path, 100_000, "300000")
    lines = process.communicate(timeout=60)[0].splitlines()
    (failed,) = [line for line in lines if line.startswith("failed:")]
    assert "NOT saved" in failed
    assert str(tmp_path) not in failed
    assert lines[-1] != failed, "it works again once there is room"
    acknowledged = dict(line.split() for line in lines if line != failed)
    with Journal.open(tmp_path) as journal:
        assert acknowledged.items() <= hashes(journal).items()


def test_a_journal_deleted_while_open_acknowledges_nothing_into_the_void(journal: Journal, tmp_path: Path) -> None:
    journal.append(some_row())
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(FeedbackError, match="NOT saved"):
        journal.append(some_row())
    kept = journal.append(some_row())
    assert hashes(journal).keys() == {kept.id}
    with Journal.open(tmp_path) as fresh:
        assert fresh.status(kept.id) == "saved"


def test_a_journal_that_another_process_holds_is_said_and_survived(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_MS", 10)
    journal.append(some_row())
    with closing(sqlite3.connect(tmp_path / JOURNAL_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        journal._drop_writer()  # the next connection has the short patience
        with pytest.raises(FeedbackError, match="NOT saved"):
            journal.append(some_row())
    assert journal.append(some_row()).created


def test_a_closed_journal_refuses_rows(journal: Journal) -> None:
    journal.close()
    journal.close()
    with pytest.raises(FeedbackError, match="closed"):
        journal.append(some_row())


def test_the_receipt_is_handed_out_once_and_never_stored(journal: Journal, tmp_path: Path) -> None:
    receipt = journal.append(some_row()).receipt
    assert receipt
    assert receipt.encode() not in on_disk(tmp_path)
    assert receipt.split(".")[1].encode() not in on_disk(tmp_path)


def test_a_receipt_deletes_the_row_and_every_trace_of_its_picture(journal: Journal, tmp_path: Path) -> None:
    journal.append(some_row())
    saved = journal.append(row := some_row(request_id="taken-back", client="a-client"))
    traces = [row.image[-200:], row.image_phash.encode(), b"taken-back", b"a-client"]
    assert all(trace in on_disk(tmp_path) for trace in traces)
    assert saved.receipt
    assert journal.delete(saved.receipt)
    assert not any(trace in on_disk(tmp_path) for trace in traces)
    assert journal.status(row.id) is None
    assert journal.pending().rows == 1


def test_deleting_twice_does_no_harm(journal: Journal) -> None:
    receipt = journal.append(some_row()).receipt
    assert receipt
    assert [journal.delete(receipt), journal.delete(receipt)] == [True, True]


def test_a_receipt_deletes_the_earlier_answers_to_its_request_too(journal: Journal) -> None:
    other = journal.append(some_row())
    receipts = [
        journal.append(some_row(request_id="r", corrected_label=label)).receipt for label in ("dog", "cat", "unsure")
    ]
    assert journal.delete(receipts[1] or "")
    assert hashes(journal).keys() == {other.id}
    assert journal.delete(receipts[2] or "")


def test_a_wrong_receipt_deletes_nothing(journal: Journal) -> None:
    saved = journal.append(some_row())
    for receipt in ("", ".", saved.id, f"{saved.id}.", f"{saved.id}.guess", "\ud800"):
        assert not journal.delete(receipt)
    assert journal.pending().rows == 1


def test_what_a_reader_kept_in_the_log_goes_with_the_next_commit(journal: Journal, tmp_path: Path) -> None:
    saved = journal.append(row := some_row())
    with closing(sqlite3.connect(tmp_path / JOURNAL_FILE, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM rows").fetchall()
        assert journal.delete(saved.receipt or "")
        assert row.image[-200:] in on_disk(tmp_path)
    journal.append(some_row())
    assert row.image[-200:] not in on_disk(tmp_path)


def test_what_a_killed_process_left_in_the_log_goes_when_the_journal_opens(tmp_path: Path) -> None:
    process = writer(tmp_path, 100_000)
    assert process.stdout
    process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)
    assert (tmp_path / f"{JOURNAL_FILE}-wal").stat().st_size > 0
    with Journal.open(tmp_path):
        assert (tmp_path / f"{JOURNAL_FILE}-wal").stat().st_size == 0


def test_pending_counts_rows_and_says_how_old_they_are(journal: Journal) -> None:
    assert (journal.pending().rows, journal.pending().oldest_at) == (0, None)
    rows = [some_row() for _ in range(3)]
    for row in rows:
        journal.append(row)
    assert (journal.pending().rows, journal.pending().oldest_at) == (3, rows[0].created_at)


def test_stats_count_the_newest_answers_by_label_and_model(journal: Journal) -> None:
    for label in ("dog", "dog", "cat", "neither"):
        journal.append(some_row(corrected_label=label))
    journal.append(some_row(request_id="r", model_revision="other"))
    journal.append(some_row(request_id="r", model_revision="other", corrected_label="cat"))
    stats = journal.stats()
    assert (stats.rows, stats.requests, stats.corrections, stats.confirmations) == (6, 5, 3, 2)
    counts = {(a.model_revision, a.predicted_label, a.corrected_label): a.requests for a in stats.answers}
    assert counts == {
        ("local-0123456789ab", "cat", "dog"): 2,
        ("local-0123456789ab", "cat", "cat"): 1,
        ("local-0123456789ab", "cat", "neither"): 1,
        ("other", "cat", "cat"): 1,
    }


def test_the_journal_is_for_its_owner_alone(journal: Journal, tmp_path: Path) -> None:
    journal.append(some_row())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_folder_that_is_a_file_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(SettingsError, match="CATDOG_DATA_DIR"):
        Journal.open(tmp_path / "data")


@pytest.mark.parametrize("file_mode", [0o444, 0o666])
def test_a_read_only_folder_is_a_wrong_setting(tmp_path: Path, file_mode: int) -> None:
    with Journal.open(tmp_path) as journal:
        journal.append(some_row())
    (tmp_path / JOURNAL_FILE).chmod(file_mode)
    tmp_path.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AS_ANYONE],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    tmp_path.chmod(0o755)
    assert (done.returncode, "CATDOG_DATA_DIR" in done.stderr) == (2, True), done.stderr


def test_a_file_system_without_shared_memory_does_without_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(path: Path) -> sqlite3.Connection:  # SQLite's own file system layer without shared memory
        return sqlite3.connect(f"file:{path}?vfs=unix-none", uri=True, isolation_level=None, check_same_thread=False)

    monkeypatch.setattr(database, "connect", connect)
    monkeypatch.setattr(journals, "connect", connect)
    row = some_row()
    with Journal.open(tmp_path) as journal:
        saved = journal.append(row)
        assert list(journal.rows()) == [row]
    with Journal.open(tmp_path) as journal:
        assert list(journal.rows()) == [row]
        assert journal.delete(saved.receipt or "")
    assert row.image not in on_disk(tmp_path)


READ_AS_ANYONE = """
import os, queue, sys
from pathlib import Path
from catdog.cli import run
import feedback.hub.parquet
from feedback.__main__ import main
if os.geteuid() == 0:  # nothing is read-only for root
    os.setuid(65534)
sys.exit(run(main, sys.argv[1:]))
"""


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that other users can reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.parametrize("with_log", [True, False])
def test_a_read_only_folder_can_be_looked_at(with_log: bool, open_path: Path) -> None:
    tmp_path = open_path
    folder = tmp_path / "data"
    with Journal.open(tmp_path / "live") as journal:
        journal.append(some_row())
        if with_log:  # as a copy of a running app's folder has it
            shutil.copytree(tmp_path / "live", folder, ignore=shutil.ignore_patterns("*-shm"))
    if not with_log:
        shutil.copytree(tmp_path / "live", folder)
    assert (folder / f"{JOURNAL_FILE}-wal").exists() == with_log
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    before = sorted(folder.iterdir())
    said = []
    for command in (["stats"], ["review"], ["export", "--out", str(tmp_path / "out")]):
        done = subprocess.run(
            [sys.executable, "-c", READ_AS_ANYONE, *command, "--data-dir", str(folder)],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said.append(done.stdout + done.stderr)
    folder.chmod(0o755)
    assert "1 listed" in said[1]
    assert "1 row in" in said[2]
    assert sorted(folder.iterdir()) == before


def test_a_folder_that_may_not_be_looked_into_is_a_sentence(tmp_path: Path) -> None:
    Journal.open(tmp_path / "data").close()
    (tmp_path / "data").chmod(0o700)
    tmp_path.chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-c", READ_AS_ANYONE, "stats", "--data-dir", "data"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if os.geteuid() == 0:
        assert (done.returncode, done.stderr) == (2, "error: data can't be read: Permission denied.\n")


FULL = """
import resource, sys
from pathlib import Path
from catdog.errors import FeedbackError
from feedback.journal.journal import Journal
from tests.feedback.rows import some_row
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
with Journal.open_or_wait(Path(sys.argv[1])) as journal:
    print(journal.stats().rows, journal.pending().rows, journal.problem)
    try:
        journal.append(some_row())
    except FeedbackError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.append(some_row())
    print(journal.stats().rows, journal.problem)
"""


@pytest.mark.parametrize("before", [0, 3])
def test_a_journal_on_a_full_disk_can_be_read_and_saves_once_there_is_room(before: int, tmp_path: Path) -> None:
    if before:
        with Journal.open(tmp_path) as journal:
            for _ in range(before):
                journal.append(some_row())
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{before} {before} Corrections can't be saved: the disk is full.",
        "Your correction was NOT saved: the disk is full. Try again later.",
        f"{before + 1} None",
    ]


def test_a_row_from_the_future_has_no_negative_age() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert Pending(rows=1, oldest_at=now + timedelta(days=1)).oldest_age_s(now) == 0
    assert Pending(rows=1, oldest_at=now - timedelta(seconds=5)).oldest_age_s(now) == 5
    assert Pending(rows=0, oldest_at=None).oldest_age_s(now) is None


def test_rows_can_be_kept_by_a_clock_before_1970(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: -1.0)
    row = some_row(created_at=datetime(1969, 12, 31, tzinfo=UTC))
    assert journal.append(row).id == row.id
    assert list(journal.rows()) == [row]
    assert journal.pending().oldest_at == row.created_at


def test_a_damaged_journal_is_refused_with_advice(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        for _ in range(20):
            journal.append(some_row())
    with (tmp_path / JOURNAL_FILE).open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(8192))
    with pytest.raises(FeedbackError, match=r"damaged.*\.recover"):
        Journal.open(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(FeedbackError, match="damaged"):
        Journal.open(tmp_path)


def test_a_journal_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    Journal.open(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / JOURNAL_FILE)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(SettingsError, match="newer version"):
        Journal.open(tmp_path)


def filled(folder: Path, rows: int = 60) -> Path:
    with Journal.open(folder) as journal:
        for _ in range(rows):
            journal.append(some_row())
    return folder / JOURNAL_FILE


def is_sound(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as db:
            return [text for (text,) in db.execute("PRAGMA integrity_check")] == ["ok"]
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return False


def with_flipped_bytes(path: Path, folder: Path, seed: int) -> Path:
    """A copy of a journal, of which the disk returns other bytes than were written."""
    rng, data = random.Random(seed), bytearray(path.read_bytes())
    for _ in range(8):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    folder.mkdir()
    copy = folder / JOURNAL_FILE
    copy.write_bytes(data)
    return copy


def test_no_file_that_sqlite_calls_corrupt_is_opened(tmp_path: Path) -> None:
    path = filled(tmp_path)
    copies = [with_flipped_bytes(path, tmp_path / str(seed), seed) for seed in range(40)]
    corrupt = [copy for copy in copies if not is_sound(copy)]
    assert len(corrupt) > 5
    for copy in corrupt:
        with pytest.raises(CatdogError):
            Journal.open(copy.parent)


def test_a_large_file_is_checked_later_and_not_written_to_any_more_if_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("database", "journal"):
        monkeypatch.setattr(f"feedback.journal.{module}.CHECKED_AT_START_BYTES", 0)
    path, opened = filled(tmp_path), 0
    for seed in range(40):
        copy = with_flipped_bytes(path, tmp_path / str(seed), seed)
        if is_sound(copy):
            continue
        try:
            journal = Journal.open(copy.parent)
        except CatdogError:
            continue
        with journal:
            opened += 1
            journal.check_rest()
            assert journal.problem == "Corrections can't be saved: the journal is damaged."
            with pytest.raises(FeedbackError, match="NOT saved: the journal is damaged"):
                journal.append(some_row())
            for each in copy.parent.glob(f"{JOURNAL_FILE}*"):
                each.rename(each.with_name(f"old-{each.name}"))
            row = some_row()
            assert journal.append(row).id == row.id
            assert journal.problem is None
    assert opened


def test_a_large_file_that_is_sound_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("database", "journal"):
        monkeypatch.setattr(f"feedback.journal.{module}.CHECKED_AT_START_BYTES", 0)
    filled(tmp_path, rows=3)
    with Journal.open(tmp_path) as journal:
        journal.check_rest()
        assert journal.problem is None
        assert journal.append(some_row()).created

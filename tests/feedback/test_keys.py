"""Client hashes group the rows of a month, and cannot be undone after two."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from catdog.errors import FeedbackError
from catdog.settings import Settings
from feedback.hub.delivery import create_delivery
from feedback.journal.journal import Journal
from feedback.keys import KEYS_FOLDER, ClientKeys
from tests.web.conftest import wait_for

MAY = datetime(2025, 5, 20, tzinfo=UTC)
JUNE = datetime(2025, 6, 1, tzinfo=UTC)


def key_files(data_dir: Path) -> list[str]:
    return sorted(path.name for path in (data_dir / KEYS_FOLDER).iterdir())


def test_an_address_has_one_hash_within_a_month_and_another_in_the_next(tmp_path: Path) -> None:
    keys = ClientKeys(tmp_path)
    may = keys.client_hash("192.0.2.1", now=MAY)
    assert keys.client_hash("192.0.2.1", now=MAY + timedelta(days=11)) == may
    assert keys.client_hash("192.0.2.1", now=JUNE) != may
    assert keys.client_hash("192.0.2.2", now=MAY) != may
    assert len(may) == 32


def test_months_are_those_of_utc(tmp_path: Path) -> None:
    keys = ClientKeys(tmp_path)
    still_may = datetime(2025, 6, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert keys.client_hash("a", now=still_may) == keys.client_hash("a", now=MAY)


def test_a_restart_keeps_the_hash(tmp_path: Path) -> None:
    assert ClientKeys(tmp_path).client_hash("a", now=MAY) == ClientKeys(tmp_path).client_hash("a", now=MAY)


def test_threads_that_come_first_together_agree_on_the_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        hashes = pool.map(lambda keys: keys.client_hash("a", now=MAY), [ClientKeys(tmp_path) for _ in range(16)])
    assert len(set(hashes)) == 1
    assert key_files(tmp_path) == ["2025-05.key"]


def test_two_installations_hash_differently_unless_they_share_a_secret(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert ClientKeys(first).client_hash("a", now=MAY) != ClientKeys(second).client_hash("a", now=MAY)
    shared = [ClientKeys(folder, "secret").client_hash("a", now=MAY) for folder in (first, second)]
    assert shared[0] == shared[1]
    assert shared[0] != ClientKeys(first, "secret").client_hash("a", now=JUNE)
    assert shared[0] != ClientKeys(first, "another").client_hash("a", now=MAY)


def test_a_shared_secret_leaves_no_key_on_the_disk(tmp_path: Path) -> None:
    ClientKeys(tmp_path, "secret").client_hash("a", now=MAY)
    assert not list(tmp_path.iterdir())


def test_a_key_is_destroyed_sixty_days_after_its_month_began(tmp_path: Path) -> None:
    keys = ClientKeys(tmp_path)
    before = keys.client_hash("a", now=MAY)
    keys.client_hash("a", now=JUNE)
    keys.destroy_expired(datetime(2025, 6, 29, 23, tzinfo=UTC))
    assert key_files(tmp_path) == ["2025-05.key", "2025-06.key"]
    keys.destroy_expired(datetime(2025, 6, 30, tzinfo=UTC))
    assert key_files(tmp_path) == ["2025-06.key"]
    assert keys.client_hash("a", now=MAY) != before


def test_a_new_month_destroys_expired_keys_by_itself(tmp_path: Path) -> None:
    keys = ClientKeys(tmp_path)
    keys.client_hash("a", now=MAY)
    keys.client_hash("a", now=datetime(2025, 8, 1, tzinfo=UTC))
    assert key_files(tmp_path) == ["2025-08.key"]


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    ClientKeys(tmp_path).client_hash("a", now=MAY)
    folder = tmp_path / KEYS_FOLDER
    assert (folder.stat().st_mode & 0o777, (folder / "2025-05.key").stat().st_mode & 0o777) == (0o700, 0o600)


def test_nothing_to_destroy_is_no_failure(tmp_path: Path) -> None:
    ClientKeys(tmp_path / "missing").destroy_expired(MAY)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / KEYS_FOLDER).write_text("")
    with pytest.raises(FeedbackError, match="keys"):
        ClientKeys(tmp_path).client_hash("a", now=MAY)


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    code = (
        "import pathlib, resource; from feedback.keys import ClientKeys; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
        f"ClientKeys(pathlib.Path({str(tmp_path)!r})).client_hash('a', now=__import__('datetime').datetime(2025, 5, 1))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "NOT saved: the disk is full" in done.stderr
    assert not key_files(tmp_path)


def test_expired_keys_are_destroyed_without_any_feedback(tmp_path: Path) -> None:
    ClientKeys(tmp_path).client_hash("a", now=MAY)
    with Journal.open(tmp_path) as journal:
        delivery = create_delivery(journal, Settings(data_dir=tmp_path))
        delivery.start()
        wait_for(lambda: not key_files(tmp_path), "the key's end")
        delivery.stop()

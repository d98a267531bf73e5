"""What is acknowledged reaches the Hub once, whatever happens on the way."""

import io
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi

from catdog.errors import FeedbackError, HubError
from catdog.files import try_lock
from catdog.hub.client import HubClient
from catdog.settings import Settings
from devhub.faults import Fault
from devhub.server import Running
from devhub.tokens import Token
from feedback import decision as decisions
from feedback.hub.dataset import FeedbackDataset
from feedback.hub.delivery import create_syncer
from feedback.hub.sync import LOCK_FILE, Syncer
from feedback.journal.journal import JOURNAL_FILE, Journal
from feedback.journal.outbox import Outbox
from feedback.row import FeedbackRow
from tests.feedback.conftest import REPO
from tests.feedback.hub_rows import hub_hashes, hub_records
from tests.feedback.rows import some_row
from tests.web.conftest import wait_for


def appended(journal: Journal, count: int) -> list[FeedbackRow]:
    rows = [some_row() for _ in range(count)]
    for row in rows:
        journal.append(row)
    return rows


def hashes(rows: list[FeedbackRow]) -> list[tuple[str, str]]:
    return sorted((row.id, row.image_sha256) for row in rows)


def commits(api: HfApi) -> int:
    """Commits after the one that made the repository."""
    return len(api.list_repo_commits(REPO, repo_type="dataset")) - 1


def test_rows_reach_a_private_data_set(journal: Journal, syncer: Syncer, api: HfApi) -> None:
    rows = appended(journal, 3)
    assert syncer.sync().commits == 1
    assert hub_hashes(api, REPO) == hashes(rows)
    assert api.dataset_info(REPO).private
    assert "README.md" in api.list_repo_files(REPO, repo_type="dataset")
    assert journal.pending().rows == 0
    assert list(journal.rows()) == rows


def test_a_row_on_the_hub_has_all_its_columns(journal: Journal, syncer: Syncer, api: HfApi) -> None:
    (row,) = appended(journal, 1)
    syncer.sync()
    (record,) = hub_records(api, REPO)
    assert record["created_at"] == row.created_at
    assert (record["labels"], record["corrected_label"], record["client"]) == (["cat", "dog"], "dog", row.client)
    assert record["image"]["bytes"] == row.image


def test_decisions_go_with_the_rows(journal: Journal, syncer: Syncer, api: HfApi) -> None:
    (row,) = appended(journal, 1)
    journal.decide([decisions.accept(row, by="me", reason="clear")])
    assert syncer.sync().commits == 1
    (record,) = hub_records(api, REPO, "decisions")
    assert (record["row_id"], record["status"], record["by"]) == (row.id, "accepted", "me")
    journal.decide([decisions.reject(row, by="me")])
    syncer.sync()
    assert [r["status"] for r in hub_records(api, REPO, "decisions")] == ["accepted", "rejected"]


def test_nothing_new_is_no_commit(journal: Journal, syncer: Syncer, api: HfApi) -> None:
    appended(journal, 1)
    syncer.sync()
    assert syncer.sync().commits == 0
    assert commits(api) == 1


def test_a_backlog_goes_in_batches(
    journal: Journal, make_syncer: Callable[..., Syncer], api: HfApi, data_dir: Path
) -> None:
    rows = appended(journal, 7)
    assert make_syncer(batch_rows=3).sync().commits == 3
    assert hub_hashes(api, REPO) == hashes(rows)


class BusyHub(FeedbackDataset):
    """Something comes while it takes a commit."""

    def __init__(self, client: HubClient, meanwhile: Callable[[], object]) -> None:
        super().__init__(client, REPO)
        self._meanwhile = meanwhile

    def add(self, files: Mapping[str, BinaryIO | None], *, message: str) -> None:
        super().add(files, message=message)
        self._meanwhile()


def test_rows_that_come_during_a_round_wait_for_the_next_one(
    journal: Journal, make_syncer: Callable[..., Syncer], client: HubClient
) -> None:
    syncer = make_syncer(batch_rows=2, dataset=BusyHub(client, lambda: appended(journal, 1)))
    appended(journal, 3)
    assert [(done.commits, done.rows) for done in (syncer.sync(), syncer.sync())] == [(2, 4), (1, 1)]
    assert journal.pending().rows == 1


def test_a_row_somebody_waits_for_that_comes_during_a_round_is_sent_right_after_it(
    journal: Journal, make_syncer: Callable[..., Syncer], api: HfApi, client: HubClient
) -> None:
    came: list[FeedbackRow] = []

    def once() -> None:
        if not came:
            came.extend(appended(journal, 1))
            syncer.hurry()

    syncer = make_syncer(dataset=BusyHub(client, once), ack_delay_s=0.0)
    appended(journal, 1)
    syncer.start()
    wait_for(lambda: came and journal.status(came[0].id, remote=True) == "saved", "the row on the Hub")
    syncer.stop(grace_s=20)
    assert commits(api) == 2


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 504])
def test_a_failed_commit_is_repeated_later(
    status: int, hub: Running, journal: Journal, syncer: Syncer, api: HfApi
) -> None:
    rows = appended(journal, 2)
    hub.fail(Fault(status=status), method="POST", path="/commit/")
    with pytest.raises(HubError) as caught:
        syncer.sync()
    assert caught.value.status == status
    assert journal.pending().rows == 2
    syncer.sync()
    assert hub_hashes(api, REPO) == hashes(rows)


def test_a_commit_that_was_made_though_the_hub_said_500_is_not_repeated(
    hub: Running, journal: Journal, syncer: Syncer, api: HfApi
) -> None:
    rows = appended(journal, 2)
    hub.fail(Fault(status=500, after_commit=True), path="/commit/")
    with pytest.raises(HubError):
        syncer.sync()
    rows += appended(journal, 1)
    syncer.sync()
    assert hub_hashes(api, REPO) == hashes(rows)
    assert journal.pending().rows == 0


@pytest.mark.parametrize("status", [409, 412])
def test_somebody_elses_commit_in_between_is_no_failure(
    status: int, hub: Running, journal: Journal, syncer: Syncer, api: HfApi
) -> None:
    rows = appended(journal, 2)
    hub.fail(Fault(status=status), path="/commit/", times=2)
    assert syncer.sync().commits == 1
    assert hub_hashes(api, REPO) == hashes(rows)


def test_two_machines_write_to_one_data_set(
    journal: Journal, syncer: Syncer, make_syncer: Callable[..., Syncer], api: HfApi, tmp_path: Path
) -> None:
    with Journal.open(tmp_path / "other") as other:
        other_syncer = make_syncer(journal=other, data_dir=tmp_path / "other")
        rows = []
        for _ in range(2):
            rows += appended(journal, 2) + appended(other, 2)
            syncer.sync()
            other_syncer.sync()
    assert hub_hashes(api, REPO) == hashes(rows)


def test_one_process_syncs_at_a_time(journal: Journal, syncer: Syncer, data_dir: Path) -> None:
    appended(journal, 1)
    with try_lock(data_dir / LOCK_FILE) as held:
        assert held
        assert syncer.sync().locked
    assert syncer.sync().commits == 1


def test_the_limit_of_commits_survives_a_restart(
    journal: Journal, make_syncer: Callable[..., Syncer], api: HfApi
) -> None:
    for _ in range(2):
        appended(journal, 1)
        make_syncer(commits_per_hour=2).sync()
    appended(journal, 1)
    done = make_syncer(commits_per_hour=2).sync()
    assert done.commits == 0
    assert 3500 < done.wait_s <= 3600
    assert commits(api) == 2
    assert journal.pending().rows == 1


def test_the_limit_of_commits_is_a_setting(hub: Running, journal: Journal, data_dir: Path) -> None:
    settings = Settings(
        feedback_repo=REPO, hf_endpoint=hub.url, hf_token=hub.token, data_dir=data_dir, commits_per_hour=2
    )
    rounds = []
    for _ in range(3):
        appended(journal, 1)
        rounds.append(create_syncer(journal, settings).sync())
    assert [(done.commits, done.wait_s > 0) for done in rounds] == [(1, False), (1, False), (0, True)]


def test_a_refused_commit_does_not_count(hub: Running, journal: Journal, make_syncer: Callable[..., Syncer]) -> None:
    appended(journal, 1)
    syncer = make_syncer(commits_per_hour=1)
    hub.fail(Fault(status=403), path="/commit/")
    with pytest.raises(HubError):
        syncer.sync()
    assert syncer.sync().commits == 1


def test_a_row_that_was_taken_back_leaves_the_hub_and_its_history(
    journal: Journal, syncer: Syncer, api: HfApi, hub: Running, tmp_path: Path
) -> None:
    kept, gone = some_row(), some_row()
    journal.append(kept)
    receipt = journal.append(gone).receipt
    journal.decide([decisions.accept(row, by="me") for row in (kept, gone)])
    syncer.sync()
    assert receipt is not None
    journal.delete(receipt)
    syncer.sync()
    assert hub_hashes(api, REPO) == hashes([kept])
    assert [record["row_id"] for record in hub_records(api, REPO, "decisions")] == [kept.id]
    assert commits(api) == 0
    kept_on_disk = [path.read_bytes() for path in (tmp_path / "hub").rglob("blobs/*")]
    shards = [pq.read_table(io.BytesIO(content)) for content in kept_on_disk if content.startswith(b"PAR1")]
    assert [shard.num_rows for shard in shards] == [1, 1]
    assert syncer.sync().commits == 0


def test_the_last_row_of_a_shard_takes_it_along(journal: Journal, syncer: Syncer, api: HfApi) -> None:
    receipt = journal.append(some_row()).receipt
    syncer.sync()
    assert receipt is not None
    journal.delete(receipt)
    syncer.sync()
    assert set(api.list_repo_files(REPO, repo_type="dataset")) <= {"README.md", ".gitattributes"}


def test_a_row_that_was_taken_back_between_a_lost_answer_and_its_repetition_is_gone(
    hub: Running, journal: Journal, syncer: Syncer, api: HfApi
) -> None:
    kept = some_row()
    journal.append(kept)
    receipt = journal.append(some_row()).receipt
    hub.fail(Fault(status=500, after_commit=True), path="/commit/")
    with pytest.raises(HubError):
        syncer.sync()
    assert receipt is not None
    journal.delete(receipt)
    syncer.sync()
    assert hub_hashes(api, REPO) == hashes([kept])


def test_pictures_leave_the_journal_when_the_hub_has_had_them_long_enough(
    journal: Journal, make_syncer: Callable[..., Syncer], data_dir: Path
) -> None:
    (row,) = appended(journal, 1)
    make_syncer(retain=timedelta(days=1)).sync()
    assert journal.picture(row.id) == row.image
    make_syncer(retain=timedelta(0)).sync()
    assert journal.picture(row.id) is None
    assert journal.stats().rows == 1
    assert row.image not in b"".join(path.read_bytes() for path in data_dir.iterdir())


def test_a_picture_that_the_hub_lacks_stays_however_old(
    hub: Running, journal: Journal, make_syncer: Callable[..., Syncer]
) -> None:
    (row,) = appended(journal, 1)
    hub.fail(Fault(status=403), path="/commit/")
    syncer = make_syncer(retain=timedelta(0))
    with pytest.raises(HubError):
        syncer.sync()
    assert journal.picture(row.id) == row.image


def test_a_damaged_picture_fails_alone(journal: Journal, syncer: Syncer, api: HfApi, data_dir: Path) -> None:
    good, bad = appended(journal, 2)
    with closing(sqlite3.connect(data_dir / JOURNAL_FILE)) as db:
        db.execute("UPDATE pictures SET jpeg = x'00' WHERE seq = (SELECT seq FROM rows WHERE id = ?)", (bad.id,))
        db.commit()
    syncer.sync()
    assert hub_hashes(api, REPO) == hashes([good])
    assert [journal.status(row.id, remote=True) for row in (good, bad)] == ["saved", "failed"]
    assert (journal.pending().rows, journal.pending().damaged) == (0, 1)


def test_with_remote_acknowledgement_a_row_is_saved_once_the_hub_has_it(journal: Journal, syncer: Syncer) -> None:
    (row,) = appended(journal, 1)
    assert journal.status(row.id) == "saved"
    assert journal.status(row.id, remote=True) == "received"
    syncer.sync()
    assert journal.status(row.id, remote=True) == "saved"


def test_a_token_that_may_only_read_is_told_and_nothing_is_lost(
    journal: Journal, make_syncer: Callable[..., Syncer], tmp_path: Path, api: HfApi
) -> None:
    reader = Token("reader", "a-secret-that-reads", "read")
    appended(journal, 1)
    with Running(tmp_path / "hub2", tokens=[reader]) as hub2:
        HfApi(endpoint=hub2.url, token=hub2.token).create_repo(REPO, repo_type="dataset", private=True)
        dataset = FeedbackDataset(HubClient(hub2.url, reader.token), REPO)
        syncer = make_syncer(dataset=dataset)
        with pytest.raises(HubError, match="write access") as caught:
            syncer.sync()
    assert reader.token not in str(caught.value)
    assert journal.pending().rows == 1


def test_the_thread_sends_says_how_it_goes_and_flushes_when_it_ends(
    hub: Running, journal: Journal, make_syncer: Callable[..., Syncer], api: HfApi
) -> None:
    hub.fail(Fault(status=500), path="/auth-check")
    syncer = make_syncer(first_backoff_s=3600.0)
    first = appended(journal, 1)
    syncer.start()
    wait_for(lambda: syncer.state().failures, "the first failure")
    state = syncer.state()
    assert "500" in (state.problem or "")
    assert state.last_success is None
    assert journal.pending().rows == 1
    rows = first + appended(journal, 2)
    syncer.stop(grace_s=20)
    assert hub_hashes(api, REPO) == hashes(rows)
    assert syncer.state().problem is None
    assert syncer.state().last_success is not None


def test_a_row_somebody_waits_for_is_sent_at_once(
    journal: Journal, make_syncer: Callable[..., Syncer], api: HfApi
) -> None:
    syncer = make_syncer(ack_delay_s=0.0)
    syncer.start()
    wait_for(lambda: syncer.state().last_success, "the first round")
    (row,) = appended(journal, 1)
    syncer.hurry()
    wait_for(lambda: journal.status(row.id, remote=True) == "saved", "the row on the Hub")
    syncer.stop(grace_s=20)


def test_a_hub_that_is_away_for_a_while_gets_everything(
    hub: Running, journal: Journal, make_syncer: Callable[..., Syncer], api: HfApi
) -> None:
    syncer = make_syncer(first_backoff_s=0.05)
    hub.stop()
    rows = appended(journal, 2)
    syncer.start()
    wait_for(lambda: syncer.state().failures >= 2, "two failures")
    assert "cannot be reached" in (syncer.state().problem or "")
    hub.start()
    wait_for(lambda: not journal.pending().rows, "the rows on the Hub")
    syncer.stop(grace_s=20)
    assert hub_hashes(api, REPO) == hashes(rows)


def test_a_round_that_breaks_unexpectedly_is_shown_and_followed_by_others(
    journal: Journal, make_syncer: Callable[..., Syncer], api: HfApi, client: HubClient
) -> None:
    failed: list[FeedbackRow] = []

    class BrokenOnce(FeedbackDataset):
        def add(self, files: Mapping[str, BinaryIO | None], *, message: str) -> None:
            if not failed:
                failed.extend(rows)
                raise ZeroDivisionError
            super().add(files, message=message)

    rows = appended(journal, 2)
    syncer = make_syncer(dataset=BrokenOnce(client, REPO), first_backoff_s=1.0)
    syncer.start()
    wait_for(lambda: syncer.state().problem, "the failure")
    assert "ZeroDivisionError" in (syncer.state().problem or "")
    wait_for(lambda: not journal.pending().rows, "the rows on the Hub")
    syncer.stop(grace_s=20)
    assert hub_hashes(api, REPO) == hashes(rows)
    assert syncer.state().problem is None


def test_a_lost_folder_for_temporary_files_is_a_sentence(
    journal: Journal, syncer: Syncer, api: HfApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = appended(journal, 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(FeedbackError, match="gone"):
        syncer.sync()
    (tmp_path / "gone").mkdir()
    syncer.sync()
    assert hub_hashes(api, REPO) == hashes(rows)


def test_retry_after_is_respected(hub: Running, journal: Journal, make_syncer: Callable[..., Syncer]) -> None:
    hub.fail(Fault(status=429, headers={"Retry-After": "1000"}), path="/commit/")
    appended(journal, 1)
    syncer = make_syncer(first_backoff_s=0.0)
    with pytest.raises(HubError) as caught:
        syncer.sync()
    assert 1000 <= (caught.value.retry_after_s or 0) <= 1001


def test_rows_of_a_data_set_that_was_deleted_are_sent_again_and_reported(
    journal: Journal, make_syncer: Callable[..., Syncer], api: HfApi
) -> None:
    rows = appended(journal, 3)
    syncer = make_syncer(retain=timedelta(0))
    make_syncer().sync()
    api.delete_repo(REPO, repo_type="dataset")
    api.create_repo(REPO, repo_type="dataset", private=True)
    syncer.sync()
    assert hub_hashes(api, REPO) == hashes(rows)
    assert "3 rows had disappeared" in (syncer.state().problem or "")


def test_a_shard_that_was_removed_by_hand_is_sent_again(journal: Journal, syncer: Syncer, api: HfApi) -> None:
    rows = appended(journal, 2)
    syncer.sync()
    (shard,) = [path for path in api.list_repo_files(REPO, repo_type="dataset") if path.startswith("data/")]
    api.delete_file(shard, REPO, repo_type="dataset")
    syncer.sync()
    assert hub_hashes(api, REPO) == hashes(rows)


def test_what_was_taken_back_on_purpose_stays_deleted(journal: Journal, syncer: Syncer, api: HfApi) -> None:
    receipt = journal.append(some_row()).receipt
    syncer.sync()
    journal.delete(receipt or "")
    syncer.sync()
    syncer.sync()
    assert hub_hashes(api, REPO) == []
    assert syncer.state().problem is None


def test_a_server_that_answers_everything_with_a_page_has_nothing(journal: Journal, data_dir: Path) -> None:
    class Portal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Log in to the network</title>")

        do_POST = do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815 - the names of HTTP

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    row = some_row()
    journal.append(row)
    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as portal:
        thread = threading.Thread(target=portal.serve_forever, daemon=True)
        thread.start()
        client = HubClient(f"http://127.0.0.1:{portal.server_port}", "hf_abcdefgh")
        syncer = Syncer(
            Outbox(journal), FeedbackDataset(client, REPO), data_dir=data_dir, every_s=3600.0,
            retain=timedelta(0), commits_per_hour=100,
        )  # fmt: skip
        with pytest.raises(HubError):
            syncer.sync()
        portal.shutdown()
        thread.join()
    assert journal.pending().rows == 1
    assert journal.picture(row.id) == row.image

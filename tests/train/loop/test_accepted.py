"""Reading accepted feedback, from an export and from the Hub."""

import dataclasses
from pathlib import Path
from typing import BinaryIO

import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from catdog.errors import DataError, HubError, SettingsError
from catdog.settings import Settings
from devhub.faults import Fault
from devhub.server import Running
from feedback.decision import accept, reject, undo
from feedback.hub.parquet import ROW_SCHEMA, decisions_shard, rows_shard, write_parquet
from feedback.journal.journal import Journal
from feedback.row import FeedbackRow
from tests.feedback.rows import some_row
from tests.train.corrected import write_feedback
from train.loop.accepted import Feedback, open_feedback, read_export

REPO = "me/feedback"


def labels(feedback: Feedback) -> dict[str, str]:
    return {row.id: row.corrected_label for row in feedback.rows}


def later(row: FeedbackRow, label: str) -> FeedbackRow:
    """Another answer to the same request."""
    return dataclasses.replace(some_row(), request_id=row.request_id, corrected_label=label)


def test_of_an_export_the_accepted_rows_are_read_with_their_pictures(tmp_path: Path) -> None:
    row = some_row(client="c1")
    feedback = read_export(write_feedback(tmp_path / "fb", [row]))
    (read,) = feedback.rows
    assert (read.id, read.image, read.image_sha256, read.client) == (row.id, row.image, row.image_sha256, "c1")
    assert feedback.revision == read_export(tmp_path / "fb").revision
    assert read_export(write_feedback(tmp_path / "other", [some_row()])).revision != feedback.revision


def test_the_newest_answer_to_a_request_counts(tmp_path: Path) -> None:
    row = some_row(corrected_label="dog")
    changed = later(row, "cat")
    assert labels(read_export(write_feedback(tmp_path / "fb", [changed, row]))) == {changed.id: "cat"}


def test_what_is_no_feedback_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no Parquet file"):
        read_export(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match=r"a\.parquet"):
        read_export(tmp_path)
    write_parquet([], tmp_path / "a.parquet", ROW_SCHEMA)
    with pytest.raises(DataError, match="status"):
        read_export(tmp_path)


@pytest.fixture
def settings(hub: Running) -> Settings:
    return Settings(hf_endpoint=hub.url, hf_token=hub.token)


@pytest.fixture
def dataset(hub: Running) -> HfApi:
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo(REPO, repo_type="dataset", private=True)
    return api


def upload(api: HfApi, path: str, content: BinaryIO | None) -> None:
    assert content is not None
    with content:
        content.seek(0)
        operation = CommitOperationAdd(path, content.read())
    api.create_commit(REPO, [operation], commit_message="shard", repo_type="dataset")


def test_rows_and_decisions_on_the_hub_are_joined(dataset: HfApi, settings: Settings) -> None:
    pending, kept, relabelled, refused, undone, answered = (some_row(corrected_label="dog") for _ in range(6))
    upload(dataset, "data/1.parquet", rows_shard([pending, kept, relabelled, refused]))
    upload(dataset, "data/2.parquet", rows_shard([undone, answered, later(answered, "cat")]))
    first = [accept(row, by="me") for row in (kept, relabelled, refused, undone, answered)]
    upload(dataset, "decisions/1.parquet", decisions_shard(first))
    second = [accept(relabelled, by="me", label="cat"), reject(refused, by="me"), undo(undone, by="me")]
    upload(dataset, "decisions/2.parquet", decisions_shard(second))
    feedback = open_feedback(REPO, settings)
    assert labels(feedback) == {kept.id: "dog", relabelled.id: "cat"}
    assert feedback.revision == dataset.dataset_info(REPO).sha
    assert feedback.rows[0].image == kept.image


def test_what_the_journal_has_not_sent_counts_too(dataset: HfApi, settings: Settings, tmp_path: Path) -> None:
    known, changed = some_row(client="aa"), some_row(client="bb")
    upload(dataset, "data/1.parquet", rows_shard([known, changed]))
    upload(dataset, "decisions/1.parquet", decisions_shard([accept(row, by="me") for row in (known, changed)]))
    own, again = some_row(), dataclasses.replace(some_row(client="bb"), image_sha256=changed.image_sha256)
    with Journal.open(tmp_path / "data") as journal:
        for row in (own, again):
            journal.append(row)
        journal.decide([accept(own, by="me"), accept(known, by="me", label="cat")])
    alone = open_feedback(REPO, settings)
    assert labels(alone) == {known.id: "dog", changed.id: "dog"}
    joined = open_feedback(REPO, settings.model_copy(update={"feedback_repo": REPO, "data_dir": tmp_path / "data"}))
    assert labels(joined) == {known.id: "cat", own.id: "dog"}, "the newest answer about a picture is pending"
    assert joined.revision == f"{alone.revision}+local"
    elsewhere = settings.model_copy(update={"feedback_repo": "me/other", "data_dir": tmp_path / "data"})
    assert labels(open_feedback(REPO, elsewhere)) == labels(alone)


def test_an_empty_data_set_has_no_accepted_rows(dataset: HfApi, settings: Settings) -> None:
    assert open_feedback(REPO, settings).rows == ()


def test_a_data_set_that_is_not_there_or_not_reached_is_told(hub: Running, settings: Settings) -> None:
    with pytest.raises(SettingsError, match="no such data set"):
        open_feedback("me/none", settings)
    with pytest.raises(SettingsError, match="no such folder"):
        open_feedback("none", settings)
    hub.fail(Fault(status=403), path="/api/datasets")
    with pytest.raises(HubError):
        open_feedback(REPO, settings)

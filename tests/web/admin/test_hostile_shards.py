"""What others put into the data set cannot bring the maintainer's pages down, nor cost much."""

import io
from pathlib import Path

import httpx
import pyarrow.parquet as pq
from huggingface_hub import CommitOperationAdd, HfApi

from devhub.server import Running
from feedback.journal.journal import Journal
from tests.feedback.hub.test_shards import one_text_that_all_rows_share
from tests.feedback.rows import some_row
from tests.web.admin_client import TOKEN, log_in
from tests.web.conftest import running, wait_for

REPO = "me/feedback"


def test_shards_that_cannot_be_used_are_left_out_and_named(hub: Running, tmp_path: Path, toy_folder: Path) -> None:
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo(REPO, repo_type="dataset", private=True)
    costly = one_text_that_all_rows_share(tmp_path / "costly.parquet")
    files = {"data/html.parquet": b"<!doctype html>", "data/costly.parquet": costly.read_bytes()}
    adding = [CommitOperationAdd(path, io.BytesIO(content)) for path, content in files.items()]
    api.create_commit(REPO, adding, repo_type="dataset", commit_message="hostile")
    assert pq.ParquetFile(costly).metadata.num_rows
    row = some_row()
    with Journal.open(tmp_path / "data") as journal:
        journal.append(row)
    settings = {"feedback_repo": REPO, "hf_endpoint": hub.url, "hf_token": hub.token, "admin_token": TOKEN}
    with (
        running(tmp_path, toy_folder, **settings) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        log_in(client)
        page = client.get("/admin")
        assert page.status_code == 200
        assert row.id in page.text
        assert "2 files of the feedback data set can&#39;t be used." in page.text
        wait_for(lambda: "can't be used" in server.log.read_text(), "a line in the log")

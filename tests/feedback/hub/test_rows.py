"""With a data set, every machine with a token sees the same rows and decisions, and may delete them."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi

import feedback
from catdog.cli import run
from devhub.server import Running
from feedback import decision as decisions
from feedback.__main__ import main
from feedback.hub.rows import MIRROR_FOLDER
from feedback.journal.journal import Journal
from feedback.row import FeedbackRow
from tests.feedback.conftest import REPO
from tests.feedback.hub_rows import hub_records
from tests.feedback.rows import some_row

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(hub: Running, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token, "CATDOG_FEEDBACK_REPO": REPO}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CATDOG_DATA_DIR", str(data_dir))


@pytest.fixture
def rows(settings: None, data_dir: Path) -> list[FeedbackRow]:
    """Three rows on the Hub, the first of which is accepted with another label, and nothing on this machine."""
    rows = [some_row(client=client) for client in ("aa", "aa", "bb")]
    with Journal.open(data_dir) as journal:
        for row in rows:
            journal.append(row)
        journal.decide([decisions.accept(rows[0], by="me", label="cat")])
    assert run(main, ["push"]) == 0
    shutil.rmtree(data_dir)
    return rows


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    capsys.readouterr()
    assert run(main, ["review", "--status", "any", "--format", "json"]) == 0
    return {entry["id"]: entry["status"] for entry in json.loads(capsys.readouterr().out)}


def test_a_fresh_machine_sees_the_same_queue(rows: list[FeedbackRow], capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys) == {rows[0].id: "accepted", rows[1].id: "pending", rows[2].id: "pending"}


def test_decisions_of_a_fresh_machine_reach_the_hub(
    rows: list[FeedbackRow], data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(main, ["review", "--reject", rows[2].id, "--by", "you"]) == 0
    assert run(main, ["push"]) == 0
    shutil.rmtree(data_dir)
    assert listed(capsys)[rows[2].id] == "rejected"


def test_stats_and_export_join_the_hub_and_what_only_this_journal_has(
    rows: list[FeedbackRow], data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = some_row(request_id=rows[1].request_id, corrected_label="neither")
    again = replace(some_row(client="bb"), image=rows[2].image, image_sha256=rows[2].image_sha256)
    with Journal.open(data_dir) as journal:
        journal.append(changed)
        journal.append(again)
    assert run(main, ["stats", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["requests"]) == (5, 3)
    assert run(main, ["export", "--out", str(tmp_path / "out")]) == 0
    exported = {record["id"]: record for record in pq.read_table(tmp_path / "out").to_pylist()}
    assert set(exported) == {rows[0].id, changed.id, again.id}
    assert (exported[rows[0].id]["status"], exported[rows[0].id]["corrected_label"]) == ("accepted", "cat")
    assert exported[rows[0].id]["image"]["bytes"] == rows[0].image
    joined = feedback.frame().set_index("id")
    assert set(joined.index) == set(exported)
    assert joined.loc[rows[0].id, ["status", "label"]].tolist() == ["accepted", "cat"]


def test_without_the_hub_review_and_stats_go_on_and_say_so_and_what_needs_all_rows_fails(
    rows: list[FeedbackRow], hub: Running, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Journal.open(data_dir) as journal:
        journal.append(own := some_row())
    hub.stop()
    assert listed(capsys) == {own.id: "pending"}
    assert run(main, ["review", "--accept", own.id, "--by", "me"]) == 0
    assert "may be missing here. Could not read the data set" in capsys.readouterr().err
    assert run(main, ["stats"]) == 0
    assert "may be missing" in capsys.readouterr().err
    for command in (["export", "--out", str(tmp_path / "out")], ["forget", "--client", "aa"]):
        assert run(main, command) == 1
    hub.start()
    assert listed(capsys) == {own.id: "accepted", rows[0].id: "accepted", rows[1].id: "pending", rows[2].id: "pending"}
    hub.stop()
    assert len(listed(capsys)) == 4, "copies of the Hub's rows are still there"
    hub.start()


@pytest.mark.parametrize(("option", "left"), [("--id", [1, 2]), ("--client", [2])])
def test_forget_deletes_on_the_hub_from_a_fresh_machine(
    option: str, left: list[int], rows: list[FeedbackRow], api: HfApi, data_dir: Path
) -> None:
    value = rows[0].id if option == "--id" else "aa"
    assert run(main, ["forget", option, value]) == 0
    assert [record["id"] for record in hub_records(api, REPO)] == [rows[index].id for index in left]
    assert hub_records(api, REPO, "decisions") == []
    assert not (data_dir / MIRROR_FOLDER).exists()


def test_forget_refuses_an_empty_client_which_many_rows_have(settings: None, data_dir: Path) -> None:
    with Journal.open(data_dir) as journal:
        journal.append(some_row(client=""))
    assert run(main, ["forget", "--client", ""]) == 2
    with Journal.open(data_dir) as journal:
        assert journal.stats().rows == 1


def test_forget_by_receipt_deletes_here_and_on_the_hub(settings: None, data_dir: Path, api: HfApi) -> None:
    with Journal.open(data_dir) as journal:
        receipt = journal.append(some_row()).receipt
    assert run(main, ["push"]) == 0
    assert receipt is not None
    assert run(main, ["forget", "--receipt", receipt]) == 0
    assert hub_records(api, REPO) == []
    assert run(main, ["forget", "--receipt", "nothing"]) == 1


def test_push_says_what_it_sent_and_removed(settings: None, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal.open(data_dir) as journal:
        receipt = journal.append(row := some_row()).receipt
        journal.append(other := some_row())
        journal.decide([decisions.accept(each, by="me") for each in (row, other)])
    assert run(main, ["push"]) == 0
    told = [capsys.readouterr().err.strip()]
    with Journal.open(data_dir) as journal:
        journal.delete(receipt or "")
        journal.decide([decisions.reject(other, by="me")])
    for _ in range(2):
        assert run(main, ["push"]) == 0
        told.append(capsys.readouterr().err.strip())
    assert told == [
        "me/feedback: 2 rows sent, 2 decisions sent",
        "me/feedback: 1 decision sent, 1 row removed",
        "me/feedback: nothing sent",
    ]


def test_push_without_a_data_set_is_a_wrong_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(main, ["push", "--data-dir", str(tmp_path)]) == 2
    assert "CATDOG_FEEDBACK_REPO" in capsys.readouterr().err


def test_push_to_a_hub_that_is_away_is_a_failure_and_loses_nothing(
    settings: None, hub: Running, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.stop()
    with Journal.open(data_dir) as journal:
        journal.append(some_row())
    assert run(main, ["push"]) == 1
    assert "cannot be reached" in capsys.readouterr().err
    with Journal.open(data_dir) as journal:
        assert journal.pending().rows == 1
    hub.start()


READ = """
import sys
from datasets import load_dataset
rows = load_dataset("me/feedback", split="train")
print(*rows["id"], rows[0]["image"].size, *(row["id"] for row in load_dataset("me/feedback", split="train", streaming=True)))
if "decisions" in sys.argv:
    print(*load_dataset("me/feedback", "decisions", split="train", streaming=True).take(1))
"""


def read_with_datasets(hub: Running, home: Path, *arguments: str) -> str:
    env = os.environ | {"HF_HOME": str(home), "HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token}
    command = [sys.executable, "-c", READ, *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_datasets_pandas_and_duckdb_read_the_data_set(
    rows: list[FeedbackRow], hub: Running, tmp_path: Path, api: HfApi
) -> None:
    ids = [row.id for row in rows]
    out = read_with_datasets(hub, tmp_path / "home", "decisions")
    assert out.startswith(" ".join([*ids, "(24, 16)", *ids]))
    assert "'status': 'accepted'" in out
    folder = Path(api.snapshot_download(REPO, repo_type="dataset", local_dir=tmp_path / "copy"))
    assert list(pd.read_parquet(folder / "data").id) == ids
    query = f"SELECT count(*), min(client) FROM read_parquet('{folder}/data/*.parquet')"
    assert duckdb.sql(query).fetchall() == [(3, "aa")]


@pytest.mark.slow
def test_datasets_reads_rows_before_there_is_a_decision(
    settings: None, data_dir: Path, hub: Running, tmp_path: Path
) -> None:
    with Journal.open(data_dir) as journal:
        journal.append(row := some_row())
    assert run(main, ["push"]) == 0
    assert read_with_datasets(hub, tmp_path / "home").startswith(row.id)

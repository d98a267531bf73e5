"""What Prometheus is told: stages, confidence, errors, queues, and feedback that outlives a restart."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from catdog import __version__
from catdog.hub.models import LoadedModel
from catdog.model.model import Model
from catdog.settings import Settings
from feedback.journal.journal import JOURNAL_FILE, Journal
from tests.toy import encoded, picture
from web.api.routes import RestApi
from web.app import create_service
from web.errors import ErrorResponses
from web.metrics.metrics import STAGES, Metrics
from web.route_table import RouteTable

RED = encoded(picture("red"))
Values = dict[tuple[str, ...], float]


@contextmanager
def api(data_dir: Path, model: Path) -> Iterator[TestClient]:
    """The API alone, without the page."""
    metrics = Metrics()
    with Journal.open(data_dir) as journal:
        live = LoadedModel(Model.load(model), "folder")
        service = create_service(Settings(data_dir=data_dir), live, journal, metrics)
        app = FastAPI()
        routes = RestApi(service, metrics, client_of=lambda _: "1.2.3.4", warnings=lambda _: ["look"]).routes()
        table = RouteTable()
        table.include(routes.entries)
        ErrorResponses(metrics, table).install(app)
        app.include_router(routes.router)
        with TestClient(app) as client:
            yield client


def values(client: TestClient) -> Values:
    """Each sample by its name and the values of its labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def say(client: TestClient, label: str, photo: bytes = RED) -> None:
    answer = client.post("/predict", files={"file": photo}).json()
    client.post("/feedback", json={"request_id": answer["request_id"], "label": label}).raise_for_status()


def test_every_stage_of_an_answer_is_timed(tmp_path: Path, toy_folder: Path) -> None:
    with api(tmp_path, toy_folder) as client:
        before = values(client)
        say(client, "blue")
        after = values(client)
    assert {stage: before["catdog_stage_seconds_count", stage] for stage in STAGES} == dict.fromkeys(STAGES, 0)
    count = {stage: after["catdog_stage_seconds_count", stage] for stage in STAGES}
    assert count == {"fetch": 0, "wait": 1, "decode": 2, "predict": 1, "save": 1}  # decoded again to be kept
    parts = sum(after["catdog_stage_seconds_sum", stage] for stage in ("wait", "predict"))
    assert 0 < parts <= after[("catdog_prediction_seconds_sum",)]


def test_confidence_is_counted_by_its_height(tmp_path: Path, toy_folder: Path) -> None:
    with api(tmp_path, toy_folder) as client:
        confidence = client.post("/predict", files={"file": RED}).json()["confidence"]
        found = values(client)
    assert found[("catdog_confidence_sum",)] == pytest.approx(confidence)
    assert found["catdog_confidence_bucket", "1.0"] == 1
    assert found["catdog_confidence_bucket", "0.4"] == 0


def test_a_correction_that_is_not_kept_counts_from_nought(tmp_path: Path, toy_folder: Path) -> None:
    name = ("catdog_feedback_failures_total", "feedback_failed")
    with api(tmp_path, toy_folder) as client:
        assert values(client)[name] == 0  # or the alert would miss the first one
        request_id = client.post("/predict", files={"file": RED}).json()["request_id"]
        with sqlite3.connect(tmp_path / JOURNAL_FILE) as other:
            other.execute("DROP TABLE pictures")
        failed = client.post("/feedback", json={"request_id": request_id, "label": "blue"})
        assert (failed.status_code, failed.json()["error"]) == (503, "feedback_failed")
        assert values(client)[name] == 1
    other.close()


def test_errors_are_counted_by_kind(tmp_path: Path, toy_folder: Path) -> None:
    with api(tmp_path, toy_folder) as client:
        client.post("/predict", files={"file": b"text"})
        client.post("/feedback", json={"request_id": "0" * 32, "label": "red"})
        request_id = client.post("/predict", files={"file": RED}).json()["request_id"]
        client.post("/feedback", json={"request_id": request_id, "label": "unheard of"})
        found = values(client)
    assert found["catdog_error_answers_total", "unreadable_image"] == 1
    assert found["catdog_prediction_failures_total", "unreadable_image"] == 1
    assert found["catdog_error_answers_total", "unknown_request"] == 1
    assert found["catdog_feedback_failures_total", "unknown_label"] == 1


def test_what_people_said_is_counted_in_the_journal_and_outlives_a_restart(tmp_path: Path, toy_folder: Path) -> None:
    with api(tmp_path, toy_folder) as client:
        say(client, "blue")
        say(client, "green", encoded(picture("green")))
        revision = client.get("/health").json()["model_revision"]
    with api(tmp_path, toy_folder) as client:
        found = values(client)
        say(client, "green", encoded(picture("blue")))
        later = values(client)
    assert found["catdog_journal_answers", "correction", revision] == 1
    assert found["catdog_journal_answers", "confirmation", revision] == 1
    assert found[("catdog_journal_rows",)] == 2
    assert ("catdog_feedback_total", "correction") not in found
    assert later["catdog_feedback_total", "correction"] == 1
    assert later[("catdog_journal_rows",)] == 2  # counted once a minute: it reads every row


def test_model_queues_warnings_and_version_are_there(tmp_path: Path, toy_folder: Path) -> None:
    with api(tmp_path, toy_folder) as client:
        found = values(client)
        live = client.get("/health").json()
    assert found["catdog_model_info", live["model_id"], "folder", live["model_revision"]] == 1
    assert found[("catdog_model_live_since_timestamp_seconds",)] > 1_700_000_000
    assert {key[1] for key in found if key[0] == "catdog_queue_places"} == {
        "pictures",
        "slow_pictures",
        "disk",
        "fetches",
    }
    assert found["catdog_queue_waiting", "pictures"] == 0
    assert found["catdog_queue_busy", "disk"] == 0
    assert found[("catdog_warnings",)] == 1
    assert found[("catdog_sync_configured",)] == 0
    assert found["catdog_build_info", __version__] == 1
    assert found[("process_resident_memory_bytes",)] > 1e6

"""The audit sample: nothing without consent, one row of nobody's with it, and the sender can take it back."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from catdog.hub.models import LoadedModel
from catdog.model.model import Model
from catdog.settings import Settings
from feedback.decision import ReviewedRow, accept, reject
from feedback.journal.journal import Journal
from feedback.review.audit import count_audits
from feedback.review.order import Filter, build_queue
from feedback.row import Source
from tests.toy import encoded, picture, textured
from tests.web.conftest import running
from web.app import create_service
from web.metrics.metrics import Metrics
from web.service.sample import AuditSample
from web.service.service import Answer, Service


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "data") as journal:
        yield journal


def service_of(journal: Journal, tmp_path: Path, model: Path, share: float) -> Service:
    settings = Settings(data_dir=tmp_path / "data", audit_share=share)
    return create_service(settings, LoadedModel(Model.load(model), "folder"), journal, Metrics())


def classify(service: Service, colour: str = "red", *, consents: bool) -> Answer:
    data = encoded(textured(colour))
    return asyncio.run(service.classify(lambda: data, Source.UPLOAD, consents=consents))


def test_with_consent_a_picture_becomes_a_row_of_nobodys(journal: Journal, tmp_path: Path, toy_folder: Path) -> None:
    answer = classify(service_of(journal, tmp_path, toy_folder, 1), consents=True)
    (row,) = journal.rows()
    assert row.is_audit
    assert (row.client, row.corrected_label, row.predicted_label) == ("", "unsure", "red")
    assert row.request_id != answer.request_id
    assert answer.audit_receipt is not None
    assert journal.delete(answer.audit_receipt)
    assert not list(journal.rows())


@pytest.mark.parametrize(("share", "consents"), [(1.0, False), (0.0, True)])
def test_without_consent_or_share_nothing_is_kept(
    share: float, consents: bool, journal: Journal, tmp_path: Path, toy_folder: Path
) -> None:
    answer = classify(service_of(journal, tmp_path, toy_folder, share), consents=consents)
    assert answer.audit_receipt is None
    assert not list(journal.rows())


def test_a_correction_of_the_same_picture_leaves_the_sample_as_it_is(
    journal: Journal, tmp_path: Path, toy_folder: Path
) -> None:
    service = service_of(journal, tmp_path, toy_folder, 1)
    answer = classify(service, consents=True)
    asyncio.run(service.correct(answer.request_id, "blue", client="1.2.3.4"))
    rows = list(journal.rows(newest_only=True))
    assert sorted(row.corrected_label for row in rows) == ["blue", "unsure"]
    stats = journal.stats()
    assert (stats.rows, stats.requests, stats.corrections) == (2, 1, 1)


def test_a_full_disk_costs_the_sample_and_not_the_answer(
    journal: Journal, tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(journal, tmp_path, toy_folder, 1)
    with sqlite3.connect(tmp_path / "data" / "journal.sqlite3") as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON rows BEGIN SELECT RAISE(FAIL, 'disk full'); END")
    answer = classify(service, consents=True)
    assert (answer.prediction.label, answer.audit_receipt) == ("red", None)


def test_the_sample_is_counted_as_reviewed_and_votes_on_nothing(
    journal: Journal, tmp_path: Path, toy_folder: Path
) -> None:
    service = service_of(journal, tmp_path, toy_folder, 1)
    for _ in range(4):
        classify(service, consents=True)
    service_of(journal, tmp_path, toy_folder, 0)
    rows = list(journal.rows())
    reviewed = [
        ReviewedRow(rows[0], accept(rows[0], by="me", label="red")),
        ReviewedRow(rows[1], accept(rows[1], by="me", label="neither")),
        ReviewedRow(rows[2], reject(rows[2], by="me")),
        ReviewedRow(rows[3]),
    ]
    (count,) = count_audits(reviewed)
    assert (count.sampled, count.reviewed, count.judged, count.right, count.neither) == (3, 2, 1, 1, 1)
    queue = build_queue(reviewed)
    assert {(entry.voters, entry.signals.sure_but_corrected) for entry in queue} == {(0, 0.0)}
    assert [entry.row.id for entry in queue if Filter(audit=True).matches(entry)] == [rows[3].id]


def test_the_share_is_kept_and_no_more_than_so_many_a_day() -> None:
    chances = iter([0.1, 0.9, 0.2, 0.3, 0.1, 0.1])
    now = 0.0
    sample = AuditSample(0.5, per_day=2, chance=lambda: next(chances), clock=lambda: now)
    assert [sample.chooses() for _ in range(5)] == [True, False, True, False, False]
    now = 90_000.0
    assert sample.chooses()


def test_the_page_keeps_a_photo_only_where_its_sender_agrees(tmp_path: Path, toy_folder: Path) -> None:
    with running(tmp_path, toy_folder, audit_share=1) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        photo = encoded(picture("red"))
        assert http.post("/page/photo", content=photo).json()["audit_receipt"] is None
        receipt = http.post("/page/photo?consent=true", content=photo).json()["audit_receipt"]
        assert len(server.rows()) == 1
        assert http.request("DELETE", "/feedback", json={"receipt": receipt}).status_code == 204
        assert not server.rows()


def test_the_api_keeps_a_picture_only_where_it_is_told_that_it_may(tmp_path: Path, toy_folder: Path) -> None:
    with running(tmp_path, toy_folder, audit_share=1) as server, httpx.Client(base_url=server.url, timeout=60) as http:

        def predict(path: str) -> dict[str, Any]:
            answer: dict[str, Any] = http.post(path, files={"file": encoded(picture())}).json()
            return answer

        assert "audit_receipt" not in predict("/predict")
        receipt = predict("/predict?consent=true")["audit_receipt"]
        assert len(server.rows()) == 1
        assert http.request("DELETE", "/feedback", json={"receipt": receipt}).status_code == 204
        assert not server.rows()

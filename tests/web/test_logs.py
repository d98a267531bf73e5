"""The log as JSON: what a record holds, and what it never does."""

import json
import logging
from pathlib import Path

import httpx
import pytest

from tests.toy import encoded, picture
from tests.web.conftest import running
from web.logs import JsonLines

RED = encoded(picture("red"))
TOKENS = {"admin_token": "the-token-of-the-admin", "hf_token": "hf_abcdefghijklmnop"}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path) -> tuple[list[dict[str, object]], dict[str, str]]:
    """The records of an app that classified, kept a correction and refused a file; and the ids in its answers."""
    folder = tmp_path_factory.mktemp("logs")
    with running(folder, toy_folder, log_format="json", trusted_proxies=1, **TOKENS) as server:
        with httpx.Client(base_url=server.url, timeout=60, headers={"X-Forwarded-For": "203.0.113.77"}) as client:
            answer = client.post("/predict", files={"file": ("my-holiday.jpg", RED)}).json()
            saved = client.post("/feedback", json={"request_id": answer["request_id"], "label": "blue"}).json()
            refused = client.post("/predict", files={"file": ("my-holiday.jpg", b"text")}).json()
        text = server.log.read_text()
    for secret in ("my-holiday", "203.0.113.77", saved["receipt"], *TOKENS.values()):
        assert secret not in text
    ids = {"answer": answer["request_id"], "row": saved["id"], "refusal": refused["request_id"]}
    return [json.loads(line) for line in text.splitlines()], ids


def test_every_line_is_an_object_with_time_level_and_message(
    told: tuple[list[dict[str, object]], dict[str, str]],
) -> None:
    records, _ = told
    assert len(records) >= 4
    for record in records:
        assert {"time", "level", "logger", "message"} <= record.keys()
        assert str(record["time"]).endswith("+00:00")


def test_a_prediction_can_be_followed_by_its_request_id(told: tuple[list[dict[str, object]], dict[str, str]]) -> None:
    records, ids = told
    answer, correction = [record for record in records if record.get("request_id") == ids["answer"]]
    assert (answer["label"], answer["verdict"], answer["source"]) == ("red", "red", "api")
    assert isinstance(answer["confidence"], float)
    assert 0.6 < answer["confidence"] <= 1
    assert isinstance(answer["latency_ms"], float)
    assert str(answer["model_revision"]).startswith("local-")
    assert (correction["label"], correction["row_id"]) == ("blue", ids["row"])


def test_a_refusal_is_logged_with_its_code(told: tuple[list[dict[str, object]], dict[str, str]]) -> None:
    records, ids = told
    (refusal,) = [record for record in records if record.get("request_id") == ids["refusal"]]
    assert refusal["code"] == "unreadable_image"


def test_only_known_fields_are_written_and_a_record_stays_one_line() -> None:
    record = logging.makeLogRecord({"msg": "two\nlines %s", "args": ("é",), "code": "busy", "client": "1.2.3.4"})
    line = JsonLines().format(record)
    assert "\n" not in line
    assert "1.2.3.4" not in line
    assert json.loads(line)["message"] == "two\nlines é"
    assert json.loads(line)["code"] == "busy"


def test_an_exception_is_in_its_record() -> None:
    error = ValueError("broken")
    record = logging.makeLogRecord({"msg": "failed", "exc_info": (type(error), error, None)})
    assert "ValueError: broken" in json.loads(JsonLines().format(record))["exception"]

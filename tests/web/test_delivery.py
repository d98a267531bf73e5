"""The running app sends corrections to a data set on the Hub, and tells how that goes."""

import asyncio
import re
import signal
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub import HfApi

from catdog.hub.models import LoadedModel
from catdog.model.model import Model
from catdog.settings import Settings
from devhub.faults import Fault
from devhub.server import Running
from feedback.journal.journal import Journal
from tests.feedback.hub_rows import hub_records
from tests.feedback.rows import some_row
from tests.toy import encoded, picture
from tests.web.admin_client import TOKEN, csrf, log_in
from tests.web.conftest import DEADLINE_S, Server, running, wait_for
from web.app import create_app

REPO = "me/feedback"


def settings(hub: Running, **more: object) -> dict[str, object]:
    return {"feedback_repo": REPO, "hf_endpoint": hub.url, "hf_token": hub.token, "admin_token": TOKEN, **more}


def correct(server: Server, colour: str = "red", label: str = "green") -> httpx.Response:
    asked = httpx.post(f"{server.url}/predict", files={"file": encoded(picture(colour))}, timeout=30)
    told = {"request_id": asked.json()["request_id"], "label": label}
    return httpx.post(f"{server.url}/feedback", json=told, timeout=30)


def health(server: Server, *, token: str = TOKEN) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    feedback: dict[str, Any] = httpx.get(f"{server.url}/health", headers=headers, timeout=30).json()["feedback"]
    return feedback


def metric(server: Server, name: str) -> float:
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


def test_sigterm_sends_what_waits(hub: Running, tmp_path: Path, toy_folder: Path) -> None:
    api = HfApi(endpoint=hub.url, token=hub.token)
    with running(tmp_path, toy_folder, **settings(hub)) as server:
        wait_for(lambda: health(server)["last_success"], "the first look at the data set")
        answer = correct(server)
        assert (answer.status_code, answer.json()["status"]) == (201, "saved")
        assert health(server)["pending"] == 1
        assert metric(server, "catdog_pending_rows") == 1
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(DEADLINE_S)
    (record,) = hub_records(api, REPO)
    assert (record["id"], record["corrected_label"]) == (answer.json()["id"], "green")
    assert hub.token not in server.log.read_text()


def test_what_waits_is_sent_before_the_end_waits_for_a_page_that_is_still_being_built(
    hub: Running, tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_built = threading.Event()
    monkeypatch.setattr("web.gradio_guard.mount.mount_page", lambda *_, **__: is_built.wait())
    api = HfApi(endpoint=hub.url, token=hub.token)
    journal = Journal.open(tmp_path)
    configured = Settings(data_dir=tmp_path, feedback_repo=REPO, hf_endpoint=hub.url, hf_token=hub.token)
    app = create_app(configured, LoadedModel(Model.load(toy_folder), "folder"), journal)

    async def live() -> None:
        inside = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=inside, base_url="http://app") as http:
            while not (await http.get("/health")).json()["feedback"]["last_success"]:
                continue
            journal.append(some_row())

    living = threading.Thread(target=lambda: asyncio.run(live()))
    living.start()
    try:
        wait_for(lambda: api.repo_exists(REPO, repo_type="dataset") and hub_records(api, REPO), "the row on the Hub")
        assert living.is_alive()
    finally:
        is_built.set()
        living.join()


def test_with_remote_acknowledgement_saved_means_on_the_hub(hub: Running, tmp_path: Path, toy_folder: Path) -> None:
    with running(tmp_path, toy_folder, **settings(hub, ack="remote")) as server:
        wait_for(lambda: health(server)["last_success"], "the first look at the data set")
        answer = correct(server)
        assert (answer.status_code, answer.json()["status"]) == (202, "received")
        status = f"{server.url}/feedback/{answer.json()['id']}"
        assert httpx.get(status, timeout=30).json()["status"] == "received"
        wait_for(lambda: httpx.get(status, timeout=30).json()["status"] == "saved", "the row on the Hub")
        assert health(server)["pending"] == 0
        assert metric(server, "catdog_last_sync_success_timestamp_seconds") > 1e9


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=401), "is not valid"),
        (Fault(status=403), "does not have permission"),
        (None, "cannot be reached"),
    ],
)
def test_the_app_starts_without_a_hub_that_works_and_says_so(
    fault: Fault | None, said: str, hub: Running, tmp_path: Path, toy_folder: Path
) -> None:
    if fault:
        hub.fail(fault, path="/auth-check", times=1000)
    else:
        hub.stop()
    with running(tmp_path, toy_folder, **settings(hub)) as server:
        assert correct(server).status_code == 201
        wait_for(lambda: health(server)["problem"], "the problem")
        found = health(server)
        assert said in found["problem"]
        assert (found["pending"], found["repo_id"], found["last_success"]) == (1, REPO, None)
        stranger = health(server, token="not-the-token-of-anybody")
        assert stranger["repo_id"] is None
        assert stranger["problem"]
        assert REPO not in str(stranger)
        assert said not in str(stranger)
        assert metric(server, "catdog_sync_failures_total") >= 1
    assert len(server.rows()) == 1
    assert hub.token not in server.log.read_text()


def test_the_review_page_goes_on_without_the_hub_and_says_so(hub: Running, tmp_path: Path, toy_folder: Path) -> None:
    hub.stop()
    with (
        running(tmp_path, toy_folder, **settings(hub, admin_token=TOKEN)) as server,
        httpx.Client(base_url=server.url, timeout=30) as http,
    ):
        row_id = correct(server).json()["id"]
        assert log_in(http).status_code == 303
        page = http.get("/admin")
        assert page.status_code == 200
        assert row_id in page.text
        assert "cannot be reached" in page.text
        assert http.get(f"/admin/picture/{row_id}").status_code == 200
        said = http.post("/admin/decide", data={"csrf": csrf(http), "do": f"accept:{row_id}"})
        assert said.status_code == 303
        hub.start()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(DEADLINE_S)
    (decision,) = hub_records(HfApi(endpoint=hub.url, token=hub.token), REPO, "decisions")
    assert (decision["row_id"], decision["status"]) == (row_id, "accepted")


def test_without_a_data_set_nothing_is_sent_and_nothing_is_wrong(server: Server) -> None:
    found = health(server)
    assert (found["repo_id"], found["problem"], found["failures"]) == (None, None, 0)


def test_remote_acknowledgement_needs_a_data_set(tmp_path: Path, toy_folder: Path) -> None:
    with (
        pytest.raises(AssertionError, match="CATDOG_FEEDBACK_REPO"),
        running(tmp_path, toy_folder, ack="remote"),
    ):
        pass

"""What Gradio keeps for sessions, uploads and events does not grow with their number."""

import asyncio
import sys
from pathlib import Path

import gradio as gr
import pytest
from fastapi import FastAPI
from gradio.routes import file_upload_statuses

from benchmarks.endurance.hostile import send_by_page
from tests.toy import encoded, picture
from tests.web.conftest import Server
from web.gradio_guard.memory import UNFETCHED, Unfetched, UploadShares, bound_memory

MANY = 1500


@pytest.fixture(scope="module")
def page() -> gr.Blocks:
    async def mounted() -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as blocks:
            gr.HTML("x")
        gr.mount_gradio_app(FastAPI(), blocks, path="/")
        return blocks

    return asyncio.run(mounted())


def test_the_states_of_sessions_that_come_and_go_are_forgotten(page: gr.Blocks) -> None:
    bound_memory(page)
    for number in range(150):
        page.state_holder[f"session {number}"]
    assert len(page.state_holder.session_data) <= 101
    assert len(page.state_holder.time_last_used) <= 101


def test_answers_that_nobody_fetches_are_forgotten_oldest_first(page: gr.Blocks) -> None:
    unfetched = Unfetched(page._queue)
    events = page._queue.pending_event_ids_session
    events["first"] = {"an event"}
    for number in range(MANY):
        assert unfetched.may_ask("first")
        events[f"session {number}"] = {"an event"}
    assert len(events) == 1000
    assert "first" in events
    assert "session 0" not in events


def test_a_session_may_ask_again_once_it_has_fetched(page: gr.Blocks) -> None:
    unfetched = Unfetched(page._queue)
    events = page._queue.pending_event_ids_session["one"] = {str(number) for number in range(UNFETCHED)}
    assert not unfetched.may_ask("one")
    events.pop()
    assert unfetched.may_ask("one")


def test_the_names_of_uploads_are_forgotten(page: gr.Blocks) -> None:
    bound_memory(page)
    for number in range(MANY):
        file_upload_statuses.track(f"upload {number}")
    page.upload_file_set.update(["a file"])
    assert len(file_upload_statuses._signals) == len(file_upload_statuses._statuses) == 1000
    assert not page.upload_file_set


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_server_holds_no_package_that_it_does_not_use(server: Server) -> None:
    assert send_by_page(server.url, encoded(picture("red"))) == "complete"
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "onnxruntime" in mapped
    assert [name for name in ("matplotlib", "pyarrow") if f"/{name}/" in mapped] == []


def test_a_client_may_fill_its_share_of_the_uploads_and_has_it_back_when_they_are_gone() -> None:
    now_s = 0.0
    shares = UploadShares(100, kept_s=60, clock=lambda: now_s)
    assert shares.take("a", 60)
    now_s = 30.0
    assert shares.take("a", 40)
    assert not shares.take("a", 1)
    assert shares.take("b", 100)
    now_s = 61.0
    assert shares.take("a", 60)
    assert not shares.take("a", 1)

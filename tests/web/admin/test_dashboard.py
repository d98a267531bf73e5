"""The maintainer's dashboard: its numbers, its plots, and who may see it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.toy import encoded, picture
from tests.web.admin_client import TOKEN, log_in
from tests.web.conftest import running
from web.admin.dashboard import drift
from web.admin.plots import lying, stacked
from web.metrics.history import STEPS, History


@pytest.fixture
def http(tmp_path: Path, toy_folder: Path) -> Iterator[httpx.Client]:
    with (
        running(tmp_path, toy_folder, admin_token=TOKEN) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
    ):
        yield http


def test_only_a_maintainer_sees_it_and_it_counts_what_happened(http: httpx.Client) -> None:
    answer = http.get("/admin/dashboard", follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin")
    said = http.post("/predict", files={"file": encoded(picture("red"))}).json()
    http.post("/predict", files={"file": b"no picture"})
    http.post("/feedback", json={"request_id": said["request_id"], "label": "blue"})
    assert log_in(http).status_code == 303
    page = http.get("/admin/dashboard")
    text = re.sub(r"<[^>]+>|\s+", " ", page.text)
    assert page.headers["Cache-Control"] == "no-store"
    assert "2, of which 1 without answer" in text
    assert "red → blue" in text
    assert "in 0 of 1 answers" in text
    assert "Answered, today 100.0% of 1 pictures" in re.sub(r" +", " ", text)
    assert "off: corrections stay on this machine" in text
    assert page.text.count("<figure>") == 3
    assert "style=" not in page.text
    assert "/admin/dashboard" in http.get("/admin").text


def test_the_history_has_a_day_and_forgets_what_is_older() -> None:
    now = datetime(2030, 1, 1, 12, 3, tzinfo=UTC)
    history = History(clock=lambda: now)
    history.predicted("red", latency_ms=7)
    now += timedelta(hours=1)
    history.predicted("unsure", latency_ms=2000)
    history.failed()
    steps = history.steps()
    assert len(steps) == STEPS
    assert (steps[-1].verdicts, steps[-1].failures) == ({"unsure": 1}, 1)
    assert steps[-7].verdicts == {"red": 1}
    assert drift(steps, {"verdicts": {"answered": 0.96}})["Answered, today"].startswith("50.0% of 2 pictures")
    assert (history.latencies()[1], history.latencies()[-1]) == (1, 1)
    now += timedelta(days=2)
    assert not any(step.verdicts for step in history.steps())


def test_plots_escape_what_they_are_given_and_stand_to_scale() -> None:
    drawn = stacked([{"<b>": 1, "dog": 3}, {"dog": 2}], ["<b>", "dog"], title="a & b", ends=("then", "now"))
    assert "<b>1" not in drawn
    assert "&lt;b&gt;" in drawn
    heights = [float(each) for each in re.findall(r'height="(\d+\.\d)" fill', drawn)]
    assert heights == [12.0, 12.0, 45.0, 135.0, 90.0], "the legend, then the columns"
    assert "<svg" in lying({}, title="nothing")

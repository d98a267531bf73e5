"""The maintainer's page of kinds: contact sheets of what the model is wrong about."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.toy import encoded, picture
from tests.web.admin_client import TOKEN, log_in
from tests.web.conftest import running, wait_for


@pytest.fixture
def http(tmp_path: Path, toy_folder: Path) -> Iterator[httpx.Client]:
    with (
        running(tmp_path, toy_folder, admin_token=TOKEN) as server,
        httpx.Client(base_url=server.url, timeout=60) as http,
    ):
        yield http


def shown(http: httpx.Client, text: str) -> str:
    wait_for(lambda: text in http.get("/admin/kinds").text, text)
    return http.get("/admin/kinds").text


def test_only_a_maintainer_sees_it(http: httpx.Client) -> None:
    answer = http.get("/admin/kinds", follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin")


def test_answers_are_shown_by_kind_with_their_pictures_and_later_ones_too(http: httpx.Client) -> None:
    assert log_in(http).status_code == 303
    assert "/admin/kinds" in http.get("/admin").text
    assert "no answers with a picture yet" in shown(http, "no answers")
    said = http.post("/predict", files={"file": encoded(picture("red"))}).json()
    http.post("/feedback", json={"request_id": said["request_id"], "label": "blue"})
    page = shown(http, "1 correction among 1 answer")
    assert "blue, predicted red" in page
    assert "style=" not in page
    address = page.partition('<img src="')[2].partition('"')[0]
    assert http.get(address).headers["Content-Type"] == "image/jpeg"

"""A model's words are data: whoever can publish one cannot put code into a page, a template or the log."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from catdog.errors import ModelError
from catdog.model.metadata import METADATA_FILE
from catdog.model.model import Model
from tests.toy import encoded, picture, toy_model
from tests.web.admin_client import TOKEN, log_in
from tests.web.conftest import DEADLINE_S, Server, running

IMAGE = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(2)</script>"
TEMPLATE = "{{ 7 * 7191 }}{% raw %}${7 * 7191}{percent}{0.__class__}"
LABELS = (IMAGE, SCRIPT, TEMPLATE)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("hostile")
    model = toy_model(folder / "model", labels=LABELS)
    with running(folder, model, admin_token=TOKEN) as server:
        yield server


def test_labels_are_escaped_on_every_page(hostile: Server) -> None:
    with httpx.Client(base_url=hostile.url, timeout=DEADLINE_S) as client:
        for colour, label in zip(("red", "green", "blue"), LABELS, strict=True):
            answer = client.post(
                "/predict", files={"file": ("<script>alert(3)</script>.jpg", encoded(picture(colour)))}
            )
            assert answer.json()["label"] == label
            other = LABELS[LABELS.index(label) - 1]
            told = {"request_id": answer.json()["request_id"], "label": other}
            assert client.post("/feedback", json=told).status_code == 201
        log_in(client, name=IMAGE)
        paths = ("/", "/docs", "/admin", "/admin?status=any", "/admin/dashboard", "/config", "/metrics", "/health")
        pages = {path: client.get(path) for path in paths}
    for path, page in pages.items():
        assert page.status_code == 200, path
        if page.headers["Content-Type"].startswith("text/html"):
            assert not re.search(r"<img src=x|<script>alert", page.text), path
        assert "50337" not in page.text, path  # 7 * 7191
    assert "alert(3)" not in hostile.log.read_text()


def test_what_is_typed_into_a_page_of_the_model_is_not_of_the_page(hostile: Server) -> None:
    """The Prometheus text has a line for each label; one with a line feed would add lines of its own."""
    text = httpx.get(f"{hostile.url}/metrics", timeout=DEADLINE_S).text
    assert all(line.startswith(("#", "catdog_", "process_", "python_")) for line in text.splitlines())


@pytest.mark.parametrize("label", ["", "a\nb", "a\x00", "a" * 5000, "a\x1b[31m", "\u202egod"])
def test_a_label_that_is_no_word_is_refused(tmp_path: Path, label: str) -> None:
    folder = toy_model(tmp_path / "model", labels=("cat", "LABEL"))
    metadata = folder / METADATA_FILE
    metadata.write_text(metadata.read_text().replace('"LABEL"', json.dumps(label)))
    with pytest.raises(ModelError, match="labels must be words"):
        Model.load(folder)

"""A challenger in shadow: it scores pictures, too, and leaves a trace only where it disagrees."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub import HfApi

from catdog.errors import HubError
from catdog.model.model import Model, Seen
from catdog.settings import Settings
from devhub.server import Running
from feedback.journal.journal import Journal
from tests.toy import COLOURS, encoded, picture, toy_model
from tests.web.conftest import Server, running, wait_for
from web.metrics.metrics import Metrics
from web.service.shadow import Shadow

REPO = "me/next"


@pytest.fixture
def live(tmp_path: Path) -> Model:
    return Model.load(toy_model(tmp_path / "live"), model_id="live", revision="one")


@pytest.fixture
def challenger(tmp_path: Path) -> Model:
    """It sees the colours in another order."""
    return Model.load(toy_model(tmp_path / "challenger", shifted=True), model_id="next", revision="two")


def seen(model: Model, colour: str) -> Seen:
    return model.look(picture(colour))


def counts(metrics: Metrics) -> dict[str, float]:
    found = {}
    for outcome in ("agrees", "disagrees"):
        labels = {"outcome": outcome, "revision": "two"}
        found[outcome] = metrics.registry.get_sample_value("catdog_shadow_predictions_total", labels) or 0.0
    return found


def test_disagreement_is_counted_and_kept_for_the_row(live: Model, challenger: Model) -> None:
    metrics = Metrics()
    shadow = Shadow(lambda: challenger, metrics, share=1.0)
    shadow.start()
    wait_for(lambda: shadow.is_ready, "the challenger")
    shadow.offer("a", seen(live, "red"))
    wait_for(lambda: shadow.facts("a"), "the score")
    (facts,) = shadow.facts("a").values()
    assert (facts["model_revision"], facts["label"]) == ("two", challenger.predict(picture("red")).label)
    assert shadow.facts("b") == {}
    assert counts(metrics) == {"agrees": 0, "disagrees": 1}
    assert set(shadow.facts("a")) == {"shadow"}  # by which retraining knows it
    shadow.stop()


def test_a_share_of_the_pictures_is_scored_and_none_waits_for_it(live: Model, challenger: Model) -> None:
    metrics, chances = Metrics(), iter([0.05, 0.5, 0.99])
    shadow = Shadow(lambda: challenger, metrics, share=0.1, chance=lambda: next(chances))
    shadow.offer("early", seen(live, "red"))  # nothing is loaded yet: no chance is taken
    shadow.start()
    wait_for(lambda: shadow.is_ready, "the challenger")
    for name in ("first", "second", "third"):
        shadow.offer(name, seen(live, "red"))
    wait_for(lambda: counts(metrics)["disagrees"], "the score")
    shadow.stop()
    assert counts(metrics) == {"agrees": 0, "disagrees": 1}
    assert shadow.facts("first")
    assert not shadow.facts("second")


def test_what_does_not_fit_the_queue_is_skipped(live: Model, challenger: Model) -> None:
    shadow = Shadow(lambda: challenger, Metrics(), share=1.0)
    shadow._model = challenger  # its thread does not run: nothing leaves the queue
    for number in range(100):
        shadow.offer(str(number), seen(live, "red"))
    assert shadow._queue.full()


def test_a_challenger_that_cannot_be_loaded_is_a_warning(challenger: Model) -> None:
    def load() -> Model:
        raise HubError("The Hub is down.")

    shadow = Shadow(load, Metrics(), share=1.0)
    shadow.start()
    wait_for(lambda: shadow.problem, "the problem")
    assert shadow.problem == "The Hub is down."
    shadow.stop()


def test_without_a_challenger_there_is_no_shadow(live: Model) -> None:
    assert Shadow.of(Settings(), Metrics(), live=lambda: live) is None
    assert Shadow.of(Settings(challenger="me/a@v1", challenger_share=0), Metrics(), live=lambda: live) is None


def test_visitors_see_the_live_model_and_rows_record_where_the_challenger_disagrees(
    hub: Running, tmp_path: Path
) -> None:
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo(REPO)
    commit = api.upload_folder(repo_id=REPO, folder_path=toy_model(tmp_path / "next", shifted=True)).oid
    settings = {
        "hf_endpoint": hub.url,
        "hf_token": hub.token,
        "hf_home": tmp_path,
        "challenger": f"{REPO}@main",
        "challenger_share": 1,
    }
    with running(tmp_path, toy_model(tmp_path / "live"), **settings) as server:
        wait_for(lambda: b"runs in shadow" in server.log.read_bytes(), "the challenger")
        answer = predict(server)
        assert answer["label"] == COLOURS[0]
        counted = f'catdog_shadow_predictions_total{{outcome="disagrees",revision="{commit}"}} 1.0'
        wait_for(lambda: counted in httpx.get(f"{server.url}/metrics", timeout=30).text, "the count")
        correction = {"request_id": answer["request_id"], "label": COLOURS[0]}
        assert httpx.post(f"{server.url}/feedback", json=correction, timeout=30).is_success
        assert httpx.get(f"{server.url}/health", timeout=30).json()["warnings"] == []
    with Journal.open(server.data_dir) as journal:
        (row,) = journal.rows()
        facts = json.loads(row.extra)["shadow"]
        assert (facts["model_id"], facts["model_revision"]) == (REPO, commit)
        assert facts["label"] != row.predicted_label
        assert row.model_revision != commit


def predict(server: Server) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.post(
        f"{server.url}/predict", files={"file": encoded(picture("red"))}, timeout=30
    ).json()
    return answer

"""The app on a full disk: it starts, answers, and says that nothing can be saved."""

from pathlib import Path

import httpx

from tests.toy import encoded, picture
from tests.web.conftest import running

ALMOST_FULL = ("sh", "-c", 'ulimit -f 40; exec "$0" "$@"')
"""No file may be longer than 20 kB: an empty journal needs more."""


def test_the_app_starts_on_a_full_disk_and_says_that_nothing_can_be_saved(tmp_path: Path, toy_folder: Path) -> None:
    with (
        running(tmp_path, toy_folder, by=ALMOST_FULL) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        predicted = client.post("/predict", files={"file": encoded(picture("red"))})
        assert (predicted.status_code, predicted.json()["label"]) == (200, "red")
        kept = client.post("/feedback", json={"request_id": predicted.json()["request_id"], "label": "blue"})
        assert kept.status_code >= 500, kept.text
        assert "NOT saved" in kept.json()["detail"]
        assert str(server.data_dir) not in kept.text
        health = client.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "ok")
        assert health.json()["feedback"]["problem"] == "Corrections can't be saved: the disk is full."
        assert client.get("/metrics").status_code == 200
    assert "the disk is full" in server.log.read_text()

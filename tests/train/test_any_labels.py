"""Labels other than cat and dog, from training to a saved correction, without a change to any code."""

from pathlib import Path

import httpx

from tests.toy import encoded
from tests.train.pictures import LABELS, picture
from tests.web.conftest import running


def test_a_model_of_three_labels_is_served_and_corrected(trained: Path, tmp_path: Path) -> None:
    with running(tmp_path, trained) as server:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            assert client.get("/health").json()["labels"] == list(LABELS)
            answer = client.post("/predict", files={"file": encoded(picture("plum", 99, (120, 90)))}).json()
            assert tuple(answer["probabilities"]) == LABELS
            assert answer["probability"] is None, "of three labels none is the positive one"
            for label in LABELS:
                photo = encoded(picture(label, 98, (120, 90)))
                request = client.post("/predict", files={"file": photo}).json()["request_id"]
                reply = client.post("/feedback", json={"request_id": request, "label": label})
                assert (reply.status_code, reply.json()["status"]) == (201, "saved")
            refused = client.post("/feedback", json={"request_id": answer["request_id"], "label": "cat"})
            assert refused.json()["error"] == "unknown_label"
        rows = server.rows()
    assert sorted(row.corrected_label for row in rows) == sorted(LABELS)
    assert {tuple(row.labels) for row in rows} == {LABELS}

import io
from pathlib import Path

import pytest

from catdog.hub import load_model
from catdog.settings import Settings
from feedback.journal import Journal
from tests.train.pictures import LABELS, picture


def jpeg(label: str, seed: int) -> bytes:
    file = io.BytesIO()
    picture(label, seed, (120, 90)).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:starlette", "ignore::DeprecationWarning:gradio")
def test_a_model_of_three_labels_is_served_and_corrected(trained: Path, tmp_path: Path) -> None:
    from fastapi.testclient import TestClient  # noqa: PLC0415 - with Gradio, seconds that the other tests do without

    from web.build import create_app  # noqa: PLC0415

    settings = Settings(model=str(trained), data_dir=tmp_path / "data")
    app = create_app(settings, load_model(settings), Journal.open(settings.data_dir))
    with TestClient(app) as client:
        assert client.get("/health").json()["labels"] == list(LABELS)
        answer = client.post("/predict", files={"file": jpeg("plum", 99)}).json()
        assert tuple(answer["probabilities"]) == LABELS
        assert answer["probability"] is None, "of three labels none is the positive one"
        for label in LABELS:
            request = client.post("/predict", files={"file": jpeg(label, 98)}).json()["request_id"]
            reply = client.post("/feedback", json={"request_id": request, "label": label})
            assert (reply.status_code, reply.json()["status"]) == (201, "saved")
        refused = client.post("/feedback", json={"request_id": answer["request_id"], "label": "cat"})
        assert refused.json()["error"] == "unknown_label"
    with Journal.open(settings.data_dir) as journal:
        rows = list(journal.rows())
    assert sorted(row.corrected_label for row in rows) == sorted(LABELS)
    assert {tuple(row.labels) for row in rows} == {LABELS}

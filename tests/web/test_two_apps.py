"""Two apps on one data folder, as when one is replaced by another, or somebody starts it twice."""

from pathlib import Path

import httpx
from huggingface_hub import HfApi

from devhub.server import Running
from feedback.journal.journal import Journal
from tests.feedback.hub_rows import hub_records
from tests.toy import encoded, picture
from tests.web.conftest import DEADLINE_S, Server, running, wait_for

REPO = "me/feedback"


def correct(server: Server, colour: str, label: str) -> dict[str, str]:
    asked = httpx.post(f"{server.url}/predict", files={"file": encoded(picture(colour))}, timeout=DEADLINE_S)
    told = {"request_id": asked.json()["request_id"], "label": label}
    saved: dict[str, str] = (
        httpx.post(f"{server.url}/feedback", json=told, timeout=DEADLINE_S).raise_for_status().json()
    )
    return saved


def upload(server: Server) -> str:
    files = {"files": ("a.jpg", encoded(picture("red")))}
    (path,) = httpx.post(f"{server.url}/gradio_api/upload", files=files, timeout=DEADLINE_S).json()
    return str(path)


def test_both_keep_corrections_and_each_reaches_the_hub_once(hub: Running, tmp_path: Path, toy_folder: Path) -> None:
    shared = tmp_path / "shared"
    settings = {
        "feedback_repo": REPO, "hf_endpoint": hub.url, "hf_token": hub.token, "sync_seconds": 1, "data_dir": shared,
    }  # fmt: skip
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with running(folders[0], toy_folder, **settings) as first:
        uploaded = upload(first)
        with running(folders[1], toy_folder, **settings) as second:
            saved = [
                correct(server, *said) for said in (("red", "green"), ("green", "blue")) for server in (first, second)
            ]
            gone = correct(second, "blue", "red")
            taken_back = httpx.request(
                "DELETE", f"{first.url}/feedback", json={"receipt": gone["receipt"]}, timeout=DEADLINE_S
            )
            assert taken_back.status_code == 204
            assert httpx.get(f"{first.url}/gradio_api/file={uploaded}", timeout=DEADLINE_S).is_success
        assert httpx.get(f"{first.url}/gradio_api/file={uploaded}", timeout=DEADLINE_S).is_success
        api = HfApi(endpoint=hub.url, token=hub.token)

        def rows() -> list[str]:
            return sorted(record["id"] for record in hub_records(api, REPO))

        wanted = sorted({each["id"] for each in saved})
        wait_for(lambda: rows() == wanted, "the rows on the Hub")
        assert correct(first, "red", "blue")["id"] not in wanted
    with Journal.open(shared) as journal:
        assert {row.id for row in journal.rows()} >= set(wanted)
    for server in (first, second):
        assert "Traceback" not in server.log.read_text()

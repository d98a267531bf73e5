"""The folder of temporary files is full: every route says that nothing was saved, and small pictures are answered."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from benchmarks.endurance.attack_servers import serving
from tests.toy import encoded, picture
from tests.web.conftest import Server, running
from web.errors import ErrorResponses
from web.metrics.metrics import Metrics
from web.route_table import RouteTable

LARGE = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (800, 800, 3), dtype=np.uint8)), "PNG")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_has_a_sentence_and_other_errors_of_the_system_stay_unexpected() -> None:
    app = FastAPI()
    ErrorResponses(Metrics(), RouteTable()).install(app)

    @app.get("/full")
    def full() -> None:
        Path("/dev/full").write_bytes(b"x")

    @app.get("/missing")
    def missing() -> None:
        Path("/dev/nothing/at/all").write_bytes(b"x")

    client = TestClient(app, raise_server_exceptions=False)
    answer = client.get("/full")
    assert (answer.status_code, answer.json()["error"]) == (503, "feedback_failed")
    assert "NOT saved" in answer.json()["detail"]
    assert "Retry-After" in answer.headers
    assert client.get("/missing").json()["error"] == "internal_error"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    if sys.platform != "linux":
        pytest.skip("mounts a tmpfs, as Linux does")
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no program mount")
    if mounted.returncode:
        pytest.skip("file systems may not be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def full(small_disk: Path, tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("TMPDIR", str(small_disk))
    with running(tmp_path, toy_folder, test_allow_private_urls=True) as server:
        with (small_disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(10_000)):
                continue
        yield server


def test_on_a_full_disk_every_way_of_sending_a_picture_is_told_so(full: Server) -> None:
    def served() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(LARGE) + LARGE

    with httpx.Client(base_url=full.url, timeout=60) as http, serving(served) as url:
        raw = {"Content-Type": "image/png"}
        file = {"file": ("a.png", LARGE)}
        answers = {
            "form": http.post("/predict", files=file),
            "body": http.post("/predict", content=LARGE, headers=raw),
            "correction": http.post("/feedback", files=file, data={"label": "red"}),
            "page": http.post("/page/photo", content=LARGE, headers=raw),
            "upload": http.post("/gradio_api/upload", files={"files": ("a.png", LARGE)}),
            "address": http.post("/predict", params={"url": url}),
        }
        found = {name: (answer.status_code, "NOT saved" in answer.text) for name, answer in answers.items()}
        assert found == dict.fromkeys(answers, (503, True))
        assert http.post("/predict", files={"file": encoded(picture("red"))}).is_success
        assert http.get("/health").is_success
    assert "Traceback" not in full.log.read_text()

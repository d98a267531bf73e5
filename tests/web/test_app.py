"""`python app.py` as a command: what it says, how it ends, what it leaves behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, missing_tool
from tests.toy import encoded, picture, toy_model
from tests.web.conftest import DEADLINE_S, environment, running, wait_for


def run_app(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env=environment(**{"port": 0, **settings}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def explained(process: subprocess.CompletedProcess[str], words: str) -> None:
    """The command ended with 2 and one sentence."""
    assert process.returncode == 2, process.stderr
    assert words in process.stderr
    assert "Traceback" not in process.stderr
    assert process.stdout == ""


def test_a_missing_model_is_a_sentence_and_exit_2(tmp_path: Path) -> None:
    explained(run_app(model=tmp_path / "nowhere", data_dir=tmp_path), "neither a folder nor a Hub repository")


def test_a_folder_that_is_no_model_is_a_sentence_and_exit_2(tmp_path: Path) -> None:
    explained(run_app(model=tmp_path, data_dir=tmp_path), "is not a model folder")


def test_a_damaged_model_is_a_sentence_and_exit_2(tmp_path: Path) -> None:
    folder = toy_model(tmp_path / "toy")
    network = folder / "onnx" / "model.onnx"
    network.write_bytes(network.read_bytes()[:-10])
    explained(run_app(model=folder, data_dir=tmp_path), "is damaged")


def test_a_wrong_setting_is_a_sentence_and_exit_2(toy_folder: Path) -> None:
    explained(run_app(model=toy_folder, port="many"), "CATDOG_PORT")


def test_a_port_that_is_taken_is_a_sentence_and_exit_2(toy_folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        explained(run_app(model=toy_folder, data_dir=tmp_path, host="127.0.0.1", port=port), "CATDOG_PORT")


def test_a_data_folder_that_cannot_be_made_is_a_sentence_and_exit_2(toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    explained(run_app(model=toy_folder, data_dir=tmp_path / "file" / "data"), "CATDOG_DATA_DIR")


def test_an_unknown_option_is_wrong_usage() -> None:
    assert run_app("--nonsense").returncode == 2


def test_the_app_answers_and_stops_when_asked_and_leaves_no_uploads(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with running(tmp_path, toy_folder) as server:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            files = {"files": ("a.jpg", encoded(picture()))}
            uploaded = Path(client.post("/gradio_api/upload", files=files).json()[0])
        assert uploaded.is_file()
        assert uploaded.is_relative_to(tmp_path)
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.process.poll() is not None, "the server to stop")
        assert not list(tmp_path.glob("catdog-uploads-*"))
        assert not (tmp_path / "gradio").exists()
        assert not list(tmp_path.glob(".ses")), "ONNX Runtime reports to its makers"
        assert "Traceback" not in server.log.read_text()


def test_an_answer_survives_sigkill_right_after_it_was_acknowledged(toy_folder: Path, tmp_path: Path) -> None:
    with running(tmp_path, toy_folder) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        request_id = client.post("/predict", files={"file": encoded(picture())}).json()["request_id"]
        saved = client.post("/feedback", json={"request_id": request_id, "label": "blue"}).json()
        server.process.kill()
        server.process.wait()
        assert [row.id for row in server.rows()] == [saved["id"]]


def test_the_embedded_model_is_served_by_default(tmp_path: Path) -> None:
    if not (ROOT / "model" / "metadata.json").is_file():
        pytest.skip("no embedded model")
    with running(tmp_path, ROOT / "model") as server, httpx.Client(base_url=server.url, timeout=30) as client:
        labels = client.get("/health").json()["labels"]
        answer = client.post("/predict", files={"file": encoded(picture())}).json()
    assert list(answer["probabilities"]) == labels == ["cat", "dog"]
    assert answer["probability"] == answer["probabilities"]["dog"]


def test_a_code_folder_that_may_not_be_written_is_enough(toy_folder: Path, tmp_path: Path) -> None:
    code = tmp_path / "code"
    for package in ("catdog", "feedback", "web"):
        shutil.copytree(ROOT / package, code / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "app.py", code)
    change_modes(code, lambda mode: mode & ~0o222)
    before = listing(code)
    try:
        with (
            running(tmp_path, toy_folder, code=code, by=without_privileges()) as server,
            httpx.Client(base_url=server.url, timeout=DEADLINE_S) as client,
        ):
            answer = client.post("/predict", files={"file": encoded(picture())}).json()
            saved = client.post("/feedback", json={"request_id": answer["request_id"], "label": "blue"})
            assert (client.get("/").status_code, saved.status_code) == (200, 201)
        assert listing(code) == before
    finally:
        change_modes(code, lambda mode: mode | 0o200)


def without_privileges() -> list[str]:
    """The start of a command whose process may not write what its modes forbid, which root may."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        missing_tool("root needs setpriv (util-linux) to give up its privileges")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]


def change_modes(folder: Path, change: Callable[[int], int]) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(change(path.stat().st_mode))


def listing(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}

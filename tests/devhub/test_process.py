"""The command: starting, stopping, being killed, and being the only one."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import httpx2
import pytest
from huggingface_hub import HfApi, close_session

from catdog.cli import run
from devhub.__main__ import main
from devhub.server import Running
from devhub.storage.names import RepoName
from devhub.storage.store import Store
from devhub.tokens import load_tokens
from tests.conftest import ROOT

REPO = "me/rows"
FIRST_COMMITS = 3


@contextmanager
def served(root: Path, *options: str, log: IO[str] | None = None) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`python -m devhub` in a process of its own, and the two lines that it prints."""
    command = [sys.executable, "-m", "devhub", "--root", str(root), "--port", "0", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            yield process, [process.stdout.readline().strip() for _ in range(2)]
        finally:
            process.kill()
            close_session()


def value(line: str) -> str:
    return line.partition("=")[2].partition(" ")[0]


@pytest.mark.slow
def test_it_prints_what_a_shell_needs_and_the_token_only_once(tmp_path: Path) -> None:
    with served(tmp_path / "hub") as (process, lines):
        assert [line.partition("=")[0] for line in lines] == ["export HF_ENDPOINT", "export HF_TOKEN"]
        token = value(lines[1])
        HfApi(endpoint=value(lines[0]), token=token).create_repo(REPO)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) in (0, -signal.SIGTERM)
    with served(tmp_path / "hub", "--token", "guest=hf_only_reading:read") as (_, lines):
        assert "tokens.json" in lines[1]
        assert HfApi(endpoint=value(lines[0]), token=token).whoami()["name"] == "local"
        assert HfApi(endpoint=value(lines[0]), token="hf_only_reading").whoami()["name"] == "guest"
        assert httpx2.get(f"{value(lines[0])}/_faults").status_code == 404


@pytest.mark.slow
def test_a_killed_hub_keeps_every_acknowledged_commit(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    acknowledged: list[tuple[str, bytes]] = []
    for number in range(3):
        with served(root) as (process, lines):
            headers = {"Authorization": f"Bearer {load_tokens(root)[0][0].token}"}
            with httpx2.Client(headers=headers, timeout=60) as client:
                client.post(f"{value(lines[0])}/api/repos/create", json={"organization": "me", "name": "rows"})
                killer = threading.Timer(0.01 + 0.03 * number, os.kill, (process.pid, signal.SIGKILL))
                with suppress(httpx2.HTTPError):
                    for count in itertools.count():
                        if count == FIRST_COMMITS:
                            killer.start()
                        content = os.urandom(90)
                        acknowledged.append((_commit(client, value(lines[0]), content), content))
            killer.join()
    assert len(acknowledged) >= 3 * FIRST_COMMITS
    _check(root, acknowledged)


def _commit(client: httpx2.Client, url: str, content: bytes) -> str:
    """A commit as the client sends it, without its retries."""
    value = {"path": f"rows/{content.hex()[:32]}", "content": b64encode(content).decode(), "encoding": "base64"}
    lines = [{"key": "header", "value": {"summary": "row"}}, {"key": "file", "value": value}]
    body = "\n".join(map(json.dumps, lines))
    answer = client.post(f"{url}/api/models/{REPO}/commit/main", content=body).raise_for_status()
    return str(answer.json()["commitOid"])


def _check(root: Path, acknowledged: list[tuple[str, bytes]]) -> None:
    """All of history is readable, nothing acknowledged is missing, nothing half-written is left."""
    with Running(root):
        repository = Store(root).find(RepoName.parse("models", "me", "rows"))
        history = dict(repository.history(repository.resolve("main")))
        for commit in history.values():
            assert all(repository.blob(entry).stat().st_size == entry.size for entry in commit.files.values())
        assert len(history) > len(acknowledged)
        for sha, content in acknowledged:
            entry = history[sha].files[f"rows/{content.hex()[:32]}"]
            assert repository.blob(entry).read_bytes() == content
        assert not list(root.rglob(".*-*"))


def test_one_folder_has_one_hub(hub: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["--root", str(tmp_path / "hub"), "--port", "0"]) == 2
    assert "another devhub" in capsys.readouterr().err


@pytest.mark.parametrize(
    "token", ["guest", "guest=short:read", "guest=hf_long_enough:admin", "../x=hf_long_enough:read"]
)
def test_a_wrong_token_is_wrong_usage(tmp_path: Path, token: str) -> None:
    assert run(main, ["--root", str(tmp_path), "--port", "0", "--token", token]) == 2


def test_a_damaged_token_file_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tokens.json").write_text("[{}]")
    assert run(main, ["--root", str(tmp_path), "--port", "0"]) == 2
    assert "tokens.json" in capsys.readouterr().err


def test_a_port_in_use_is_explained(hub: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = hub.url.rpartition(":")[2]
    assert run(main, ["--root", str(tmp_path / "other"), "--port", port]) == 2
    assert "--port" in capsys.readouterr().err


@pytest.mark.parametrize("address", [("--port", "99999"), ("--port", "-1"), ("--host", "ü..x"), ("--host", "x" * 300)])
def test_an_address_that_cannot_be_is_explained(
    address: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(main, ["--root", str(tmp_path), "--port", "0", *address]) == 2
    assert f"Give another {address[0]}" in capsys.readouterr().err


def test_a_client_that_goes_away_in_the_middle_of_a_commit_leaves_nothing_and_no_traceback(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+") as log, served(tmp_path / "hub", log=log) as (process, lines):
        url, token = value(lines[0]), value(lines[1])
        api = HfApi(endpoint=url, token=token)
        head = api.create_repo(REPO) and api.model_info(REPO).sha
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as connection:
            connection.sendall(
                f"POST /api/models/{REPO}/commit/main HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n"
                "Content-Length: 1000\r\n\r\n{".encode()
            )
        assert api.model_info(REPO).sha == head
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        log.seek(0)
        assert "Traceback" not in log.read()

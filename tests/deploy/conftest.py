"""What the tests of deploying share: a hub with two tokens, a model on it, and a machine that runs its Spaces."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest
from huggingface_hub import HfApi, close_session, constants

from devhub.server import Running
from devhub.tokens import Token
from tests.toy import toy_model
from tests.web.conftest import DEADLINE_S, Server, running, wait_for

SPACE_TOKEN = "hf_the_spaces_own_token"
READ_TOKEN = "hf_may_only_read_things"
SPACE, MODEL, FEEDBACK = "local/pets", "local/pets-model", "local/pets-feedback"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A hub whose owner deploys, and which knows the Space's token too."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    tokens = [Token("space", SPACE_TOKEN, "write"), Token("reader", READ_TOKEN, "read")]
    with Running(tmp_path / "hub", tokens=tokens) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        monkeypatch.setenv("CATDOG_SPACE_TOKEN", SPACE_TOKEN)
        yield hub
        close_session()


@pytest.fixture
def api(hub: Running) -> HfApi:
    return HfApi(endpoint=hub.url, token=hub.token)


@pytest.fixture
def model_commit(api: HfApi, tmp_path: Path) -> str:
    """A model on the hub; its commit."""
    folder = toy_model(tmp_path / "published")
    api.create_repo(MODEL)
    return str(api.upload_folder(repo_id=MODEL, folder_path=folder).oid)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app with a toy model."""
    folder = tmp_path_factory.mktemp("deployed")
    with running(folder, toy_model(folder / "toy"), rate_limit="100000/minute") as server:
        yield server


class Runner:
    """Runs each new commit of a Space from its files alone, as the Hub does, and tells the hub what became of it."""

    def __init__(self, api: HfApi, folder: Path, secrets: dict[str, str]) -> None:
        self.api, self.folder, self.secrets = api, folder, secrets
        self.stage = "RUNNING"
        self.commits: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._stop()

    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def tell(self, commit: str, stage: str, host: str | None = None) -> None:
        url = f"{self.api.endpoint}/api/spaces/{SPACE}/runner"
        told = {"commit": commit, "stage": stage, "host": host}
        httpx.post(url, json=told, headers={"Authorization": f"Bearer {self.api.token}"}).raise_for_status()

    def _run(self) -> None:
        while not self._stopped.wait(0.5):
            if not self.api.repo_exists(SPACE, repo_type="space"):
                continue
            head = str(self.api.space_info(SPACE).sha)
            if head in self.commits:
                continue
            if self.api.file_exists(SPACE, "app.py", repo_type="space", revision=head):
                self.commits.append(head)
                self._start(head)

    def _start(self, commit: str) -> None:
        self._stop()
        if self.stage != "RUNNING":
            self.tell(commit, self.stage)
            return
        files = self.folder / commit
        self.api.snapshot_download(SPACE, repo_type="space", revision=commit, local_dir=files)
        variables = {key: item.value for key, item in self.api.get_space_variables(SPACE).items()}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("CATDOG_", "HF_", "PYTHON"))}
        env = {
            **kept, **variables, **self.secrets, "SPACE_ID": SPACE, "HF_HOME": str(self.folder / "home"),
            "CATDOG_HOST": "127.0.0.1", "CATDOG_PORT": "0",
        }  # fmt: skip
        log = self.folder / f"{commit}.log"
        with log.open("wb") as out:
            self._process = subprocess.Popen([sys.executable, "app.py"], cwd=files, env=env, stdout=out, stderr=out)
        wait_for(lambda: b"Ready on" in log.read_bytes() or self._process.poll() is not None, "the Space's app")  # type: ignore[union-attr]
        ready = re.search(r"Ready on (http://\S+)", log.read_text())
        self.tell(commit, "RUNNING" if ready else "RUNTIME_ERROR", ready[1] if ready else None)

    def _stop(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(DEADLINE_S)
            self._process = None


@pytest.fixture
def runner(api: HfApi, tmp_path: Path) -> Iterator[Runner]:
    folder = tmp_path / "runner"
    folder.mkdir()
    with Runner(api, folder, {"HF_TOKEN": SPACE_TOKEN}) as running_spaces:
        yield running_spaces

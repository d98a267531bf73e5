"""A model repository on a hub, as the application finds it."""

import json
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, constants

from catdog.hub.models import LoadedModel, load_model
from catdog.model.metadata import METADATA_FILE, ONNX_FILE
from catdog.settings import Settings
from devhub.server import Running
from tests.toy import toy_model

REPO = "me/pets"


class Published:
    """A model repository on the hub, and an application that serves it."""

    def __init__(self, hub: Running, folder: Path) -> None:
        self.hub = hub
        self.api = HfApi(endpoint=hub.url, token=hub.token)
        self.api.create_repo(REPO, private=True)
        self._folder = folder
        self._count = 0
        self._embedded = toy_model(folder / "embedded")

    def publish(self, *labels: str) -> str:
        """Publish a model with these labels that differs a little from those before; its commit."""
        self._count += 1
        model = toy_model(self._folder / f"model{self._count}", labels, unsure_below=self._count / 1000)
        return self.api.upload_folder(repo_id=REPO, folder_path=model).oid

    def describe(self, folder: Path, change: dict[str, object]) -> str:
        """Publish a model of cats and dogs with other metadata, kept in a folder between calls; its commit."""
        if not folder.is_dir():
            toy_model(folder, ("cat", "dog"))
        record = json.loads((folder / METADATA_FILE).read_text())
        nested = {name: {**record[name], **value} for name, value in change.items() if name == "preprocessing"}
        (folder / METADATA_FILE).write_text(json.dumps({**record, **change, **nested}))
        return self.api.upload_folder(repo_id=REPO, folder_path=folder).oid

    def damage(self, path: str = ONNX_FILE) -> str:
        """Publish a file that does not match its recorded hash."""
        operation = CommitOperationAdd(path, b"damaged")
        return self.api.create_commit(REPO, [operation], commit_message="damage").oid

    @property
    def cache(self) -> Path:
        """The client's cache."""
        return Path(constants.HF_HUB_CACHE)

    def settings(self, **changes: object) -> Settings:
        values = {"model": REPO, "hf_endpoint": self.hub.url, "hf_token": self.hub.token, "data_dir": self._folder}
        return Settings(**(values | changes))

    def load(self, **changes: object) -> LoadedModel:
        return load_model(self.settings(**changes), embedded=self._embedded)


@pytest.fixture
def published(hub: Running, tmp_path: Path) -> Published:
    return Published(hub, tmp_path)

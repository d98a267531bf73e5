"""Which model is served."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from catdog.errors import ModelError, SettingsError
from catdog.hub import models as catdog_hub
from catdog.hub.models import load_model
from catdog.model.metadata import METADATA_FILE, ONNX_FILE
from catdog.settings import Settings
from devhub.faults import Fault
from tests.catdog.conftest import REPO, Published
from tests.toy import toy_model

pytestmark = pytest.mark.slow  # many short ones: together half a minute

DEAD_HUB = "http://127.0.0.1:9"


def test_a_folder_is_served_as_it_is(tmp_path: Path) -> None:
    loaded = load_model(Settings(model=str(toy_model(tmp_path / "m")), data_dir=tmp_path))
    assert (loaded.origin, loaded.problem) == ("folder", None)


def test_the_default_model_is_found_from_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_model(Settings(data_dir=tmp_path)).model.labels == ("cat", "dog")


@pytest.mark.parametrize("model", ["no/such/folder", "x" * 300])
def test_a_name_that_is_neither_folder_nor_repository_is_a_wrong_setting(model: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CATDOG_MODEL"):
        load_model(Settings(model=model, data_dir=tmp_path))


def test_a_damaged_folder_is_an_error_and_no_reason_to_serve_another_model(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(ModelError):
        load_model(Settings(model=str(tmp_path / "m"), data_dir=tmp_path))


def test_without_a_hub_the_embedded_model_is_served_and_the_reason_told(tmp_path: Path) -> None:
    settings = Settings(model="somebody/model", hf_endpoint=DEAD_HUB, data_dir=tmp_path)
    loaded = load_model(settings, embedded=toy_model(tmp_path / "embedded"))
    assert loaded.origin == "embedded"
    assert loaded.model.model_id == "embedded"
    assert loaded.problem
    assert DEAD_HUB in loaded.problem
    assert not (tmp_path / "last_good_model.json").exists()


def test_the_hubs_model_is_served_by_its_commit(published: Published) -> None:
    commit = published.publish("cat", "dog")
    loaded = published.load()
    assert (loaded.origin, loaded.problem) == ("hub", None)
    assert (loaded.model.model_id, loaded.model.revision, loaded.model.labels) == (REPO, commit, ("cat", "dog"))


@pytest.mark.parametrize("revision", ["v1", "commit"])
def test_a_tag_or_commit_pins_the_model(published: Published, revision: str) -> None:
    commit = published.publish("cat", "dog")
    published.api.create_tag(REPO, tag="v1")
    published.publish("cat", "dog", "fox")
    loaded = published.load(model_revision=commit if revision == "commit" else revision)
    assert (loaded.model.revision, len(loaded.model.labels)) == (commit, 2)


def test_while_the_hub_is_down_the_last_good_model_is_served(published: Published) -> None:
    commit = published.publish("cat", "dog")
    published.load()
    published.hub.stop()
    loaded = published.load()
    assert (loaded.origin, loaded.model.revision) == ("cache", commit)
    assert loaded.problem
    assert published.hub.url in loaded.problem
    published.hub.start()
    assert published.load().origin == "hub"


def test_a_pinned_commit_that_is_cached_needs_no_hub(published: Published) -> None:
    commit = published.publish("cat", "dog")
    published.load(model_revision=commit)
    published.hub.stop()
    assert published.load(model_revision=commit).origin == "hub"


def test_another_repositorys_memory_is_not_used(published: Published) -> None:
    published.publish("cat", "dog")
    published.load()
    published.hub.stop()
    assert published.load(model="me/other").origin == "embedded"


@pytest.mark.parametrize("path", [ONNX_FILE, METADATA_FILE])
def test_a_damaged_revision_falls_back_to_the_last_good_one(published: Published, path: str) -> None:
    commit = published.publish("cat", "dog")
    published.load()
    published.damage(path)
    loaded = published.load()
    assert (loaded.origin, loaded.model.revision) == ("cache", commit)
    assert loaded.problem
    assert "damaged" in loaded.problem


def test_an_interrupted_download_falls_back_to_the_last_good_one(published: Published) -> None:
    commit = published.publish("cat", "dog")
    published.load()
    published.publish("cat", "dog", "fox")
    published.hub.fail(Fault(status=403), path="/resolve/", times=100)
    assert published.load().model.revision == commit
    published.hub.faults.clear()
    assert len(published.load().model.labels) == 3


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"hf_token": "hf_wrong_token"}, "HF_TOKEN is not valid"),
        ({"hf_token": None}, "no such repository, or HF_TOKEN may not read it"),
        ({"model": "me/missing"}, "no such repository"),
        ({"model": "me/..x--y"}, "no repository can have this name"),
        ({"model": "-x/y", "model_revision": "0" * 40}, "no repository can have this name"),
        ({"model_revision": "v9"}, "no such revision"),
        ({"model_revision": "0" * 40}, "no such revision"),
    ],
)  # fmt: skip
def test_the_embedded_model_is_served_with_the_cause(
    published: Published, changes: dict[str, object], cause: str
) -> None:
    published.publish("cat", "dog")
    loaded = published.load(**changes)
    assert loaded.origin == "embedded"
    assert loaded.problem
    assert cause in loaded.problem


def test_a_repository_without_a_model_is_named(published: Published) -> None:
    loaded = published.load()
    assert loaded.origin == "embedded"
    assert METADATA_FILE in str(loaded.problem)


@pytest.fixture
def web_page() -> Iterator[str]:
    """The address of a server that is not a hub: it answers everything with a page."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Welcome")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_that_is_no_hub_is_named(published: Published, web_page: str) -> None:
    loaded = published.load(hf_endpoint=web_page)
    assert loaded.origin == "embedded"
    assert "HF_ENDPOINT" in str(loaded.problem)


def test_an_unwritable_data_folder_costs_only_the_memory(published: Published, tmp_path: Path) -> None:
    published.publish("cat", "dog")
    (tmp_path / "file").touch()
    assert published.load(data_dir=tmp_path / "file").origin == "hub"


def test_a_hub_that_falls_silent_does_not_hang_the_start(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = published.publish("cat", "dog")
    published.load()
    monkeypatch.setattr(catdog_hub, "_TIMEOUT_S", 0.2)
    published.hub.fail(Fault(delay_s=2), path="/revision/")
    loaded = published.load()
    assert (loaded.origin, loaded.model.revision) == ("cache", commit)


def test_a_damaged_copy_on_this_disk_is_fetched_again(published: Published) -> None:
    published.publish("cat", "dog")
    published.load()
    (copy,) = published.cache.rglob("model.onnx")
    copy.resolve().write_bytes(b"damaged")
    assert published.load().origin == "hub"


def test_the_card_and_its_plots_come_along(published: Published) -> None:
    published.publish("cat", "dog")
    for name in ("README.md", "roc.png", "model.safetensors"):
        published.api.upload_file(repo_id=REPO, path_in_repo=name, path_or_fileobj=b"# A model")
    commit = published.load().model.revision
    (snapshot,) = published.cache.rglob(commit)
    assert {path.name for path in snapshot.iterdir()} == {"README.md", "roc.png", "metadata.json", "onnx"}

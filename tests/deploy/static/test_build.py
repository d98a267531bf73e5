"""`python -m deploy static`, without a browser; the page itself is tested in tests/browser."""

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, SpaceCard
from PIL import Image
from pydantic import SecretStr

from catdog.cli import run
from catdog.errors import CatdogError, ModelError, SettingsError
from catdog.model.metadata import NEITHER, UNSURE, FileHash, hash_file, load_metadata, write_metadata
from catdog.settings import load_settings
from deploy.__main__ import main
from deploy.static.build import BROWSER, LIST_FILE, build_static, page_texts
from deploy.static.command import publish_static
from deploy.static.model import find_static_model, load_static_model
from deploy.static.runtime import RUNTIME_FILES, find_runtime
from devhub.server import Running
from tests.toy import toy_model
from web.i18n import ENGLISH, LANGUAGES
from web.i18n.de import GERMAN


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return toy_model(tmp_path / "toy")


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """Files of ONNX Runtime's names; nothing here runs them."""
    folder = tmp_path / "ort"
    folder.mkdir()
    for name in RUNTIME_FILES:
        (folder / name).write_text(name)
    return folder


def listed(folder: Path) -> dict[str, str]:
    text = (folder / LIST_FILE).read_text()
    hashes: dict[str, str] = json.loads(text.removeprefix("self.FILES = ").removesuffix(";\n"))
    return hashes


def page_json(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "page.json").read_text())
    return found


def test_the_list_names_every_file_that_browsers_keep_with_its_hash(toy: Path, runtime: Path, tmp_path: Path) -> None:
    folder = build_static(load_static_model(toy), runtime, tmp_path / "page").folder
    hashes = listed(folder)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(hashes) == there - {"files.js", "sw.js", "README.md"}
    assert {"index.html", "page.js", "metadata.json", "onnx/model.onnx", "ort/ort.wasm.min.js"} <= set(hashes)
    for path, digest in hashes.items():
        assert base64.b64decode(digest) == hashlib.sha256((folder / path).read_bytes()).digest()


def test_a_build_replaces_an_earlier_one_and_nothing_else(toy: Path, runtime: Path, tmp_path: Path) -> None:
    out = tmp_path / "page"
    build_static(load_static_model(toy), runtime, out)
    (out / "left-over.js").touch()
    build_static(load_static_model(toy), runtime, out, feedback="https://app.example")
    assert not (out / "left-over.js").exists()
    assert page_json(out)["feedback"] == "https://app.example"
    assert not list(tmp_path.glob(".static-*"))
    with pytest.raises(SettingsError, match="no earlier build"):
        build_static(load_static_model(toy), runtime, toy)
    assert (toy / "metadata.json").is_file()


def test_a_feedback_address_must_be_one(toy: Path, runtime: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not an address"):
        build_static(load_static_model(toy), runtime, tmp_path / "page", feedback="app.example")


def test_the_smallest_listed_network_is_taken_and_checked(toy: Path) -> None:
    small = toy / "onnx" / "model_quantized.onnx"
    small.write_bytes((toy / "onnx" / "model.onnx").read_bytes()[:-1])
    metadata = load_metadata(toy)
    files = (*metadata.files, FileHash(path="onnx/model_quantized.onnx", sha256=hash_file(small)))
    write_metadata(toy, metadata.model_copy(update={"files": files}))
    assert load_static_model(toy).network == "onnx/model_quantized.onnx"
    small.write_bytes(b"damaged")
    with pytest.raises(ModelError, match="damaged"):
        load_static_model(toy)


def test_the_page_can_be_installed(toy: Path, runtime: Path, tmp_path: Path) -> None:
    folder = build_static(load_static_model(toy), runtime, tmp_path / "page").folder
    manifest = json.loads((folder / "manifest.webmanifest").read_text())
    assert (manifest["name"], manifest["display"], manifest["start_url"]) == (
        "Red, green or blue?", "standalone", "./",
    )  # fmt: skip
    for icon in manifest["icons"]:
        image = Image.open(io.BytesIO((folder / icon["src"]).read_bytes()))
        assert "x".join(map(str, image.size)) == icon["sizes"]


def test_the_page_speaks_every_language_of_the_app() -> None:
    assert {path.stem for path in (BROWSER / "i18n").glob("*.json")} == {texts.language for texts in LANGUAGES}


def test_the_sentences_are_those_of_the_app() -> None:
    texts = page_texts(ENGLISH, ("cat", "dog"))
    assert texts["app"]["wrong"] == ENGLISH.wrong
    assert list(texts["choices"]) == ["cat", "dog", NEITHER, UNSURE]
    assert texts["verdicts"][NEITHER] == "Neither cat nor dog"
    assert texts["why"]["dog"] == ENGLISH.why_explained.format(label="dog")
    for verdict, label, kind in (("dog", "dog", "label"), (NEITHER, "cat", NEITHER), (UNSURE, "dog", UNSURE)):
        assert texts["sureness"][kind][label].replace("{percent}", "87.7%") == ENGLISH.sureness(verdict, label, 0.877)
    assert (texts["percent"]["highest"], texts["percent"]["lowest"], texts["percent"]["other"]) == (
        99.9, 0.1, "{percent}%",
    )  # fmt: skip
    german = page_texts(GERMAN, ("cat", "dog"))["percent"]
    assert (german["above"], german["highest"], german["other"]) == (
        "> 99,9\N{NO-BREAK SPACE}%",
        99.9,
        "{percent}\N{NO-BREAK SPACE}%",
    )


def test_without_npm_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("deploy.static.build.BROWSER", lonely(tmp_path))
    assert run(main, ["static", "--out", str(tmp_path / "page")]) == 2
    assert "Install Node.js" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_what_npm_says_when_it_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(CatdogError, match="no network"):
        find_runtime(lonely(tmp_path))


def test_the_command_needs_to_know_where_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["static"]) == 2
    assert "--out" in capsys.readouterr().err


def test_it_becomes_a_static_space(hub: Running, toy: Path, runtime: Path, tmp_path: Path) -> None:
    built = build_static(load_static_model(toy), runtime, tmp_path / "page")
    settings = load_settings().model_copy(update={"hf_endpoint": hub.url, "hf_token": SecretStr(hub.token)})
    address = publish_static(built.folder, "me/cat-or-dog", settings)
    assert address == f"{hub.url}/spaces/me/cat-or-dog"
    api = HfApi(endpoint=hub.url, token=hub.token)
    files = set(api.list_repo_files("me/cat-or-dog", repo_type="space"))
    assert {path for path in files if path != ".gitattributes"} == set(built.sizes)
    card = SpaceCard.load(built.folder / "README.md")
    assert (card.data.sdk, card.data.app_file) == ("static", "index.html")
    assert card.data.custom_headers["cross-origin-embedder-policy"] == "require-corp"
    commit = api.space_info("me/cat-or-dog").sha
    publish_static(built.folder, "me/cat-or-dog", settings)
    assert api.space_info("me/cat-or-dog").sha == commit  # nothing new, nothing sent


def test_files_that_a_new_build_lacks_leave_the_space(hub: Running, toy: Path, runtime: Path, tmp_path: Path) -> None:
    built = build_static(load_static_model(toy), runtime, tmp_path / "page")
    settings = load_settings().model_copy(update={"hf_endpoint": hub.url, "hf_token": SecretStr(hub.token)})
    (built.folder / "old.js").write_text("old")
    publish_static(built.folder, "me/page", settings, private=True)
    (built.folder / "old.js").unlink()
    publish_static(built.folder, "me/page", settings)
    api = HfApi(endpoint=hub.url, token=hub.token)
    assert "old.js" not in api.list_repo_files("me/page", repo_type="space")
    assert api.space_info("me/page").private


def test_publishing_needs_a_token(toy: Path, runtime: Path, tmp_path: Path) -> None:
    built = build_static(load_static_model(toy), runtime, tmp_path / "page")
    with pytest.raises(SettingsError, match="HF_TOKEN"):
        publish_static(built.folder, "me/page", load_settings())


def test_the_model_may_come_from_the_hub(hub: Running, toy: Path) -> None:
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo("me/colours")
    commit = api.upload_folder(repo_id="me/colours", folder_path=toy).oid
    changes = {"hf_endpoint": hub.url, "hf_token": SecretStr(hub.token), "model": "me/colours"}
    found = find_static_model(load_settings().model_copy(update=changes))
    assert (found.model_id, found.revision, found.network) == ("me/colours", commit, "onnx/model.onnx")


def lonely(folder: Path) -> Path:
    """A browser folder without packages."""
    copy = folder / "browser"
    copy.mkdir()
    (copy / "package-lock.json").write_text((BROWSER / "package-lock.json").read_text())
    return copy

"""The running app follows its model's repository without a restart."""

from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import CommitOperationAdd, HfApi

from catdog.model.metadata import ONNX_FILE
from devhub.server import Running
from tests.toy import encoded, picture, toy_model
from tests.web.conftest import Server, running, wait_for

REPO, TOKEN = "me/pets", "a-token-of-the-maintainer"


def health(server: Server) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer: dict[str, Any] = httpx.get(f"{server.url}/health", headers=headers, timeout=30).json()
    return answer


def test_a_newer_revision_goes_live_and_a_broken_one_never(hub: Running, tmp_path: Path) -> None:
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo(REPO)
    first = api.upload_folder(repo_id=REPO, folder_path=toy_model(tmp_path / "first", ["cat", "dog"])).oid
    settings: dict[str, Any] = {
        "hf_endpoint": hub.url,
        "hf_token": hub.token,
        "hf_home": tmp_path,
        "reload_seconds": 0.1,
    }
    settings["admin_token"] = TOKEN
    with running(tmp_path, Path(REPO), **settings) as server:
        assert (health(server)["origin"], health(server)["model_revision"]) == ("hub", first)
        second = api.upload_folder(
            repo_id=REPO, folder_path=toy_model(tmp_path / "second", ["cat", "dog"], neither_above=0.9)
        ).oid
        wait_for(lambda: health(server)["model_revision"] == second, "the second revision")
        asked = httpx.post(f"{server.url}/predict", files={"file": encoded(picture("red"))}, timeout=30).json()
        assert (asked["label"], asked["model_revision"]) == ("cat", second)
        damage = [CommitOperationAdd(ONNX_FILE, b"damaged")]
        third = api.create_commit(REPO, damage, commit_message="damage").oid
        wait_for(lambda: any(third in warning for warning in health(server)["warnings"]), "the report")
        assert (health(server)["model_revision"], health(server)["labels"]) == (second, ["cat", "dog"])
        stranger = httpx.get(f"{server.url}/health", timeout=30).text
        assert "could not be used" in stranger
        assert third not in stranger
        other = api.upload_folder(repo_id=REPO, folder_path=toy_model(tmp_path / "other", ["fox", "owl"])).oid
        wait_for(lambda: any(other in warning for warning in health(server)["warnings"]), "the refusal")
        assert "fox, owl, not cat, dog" in str(health(server)["warnings"])
        assert (health(server)["model_revision"], health(server)["labels"]) == (second, ["cat", "dog"])

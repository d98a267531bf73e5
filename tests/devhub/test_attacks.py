"""Requests that no honest client sends: nothing outside the folder is read or written, no permission is gained."""

import http.client
import json
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, close_session, get_session

from devhub.application import create_app
from devhub.routes.access import Hub
from devhub.server import Running

REPO = "me/pets"
OUTSIDE = [
    "..%2F..%2Foutside.txt", "../../../../../outside.txt", "%2e%2e/%2e%2e/outside.txt", "..%5Coutside.txt",
    "%2Fetc%2Fpasswd", "//etc/passwd", "a/../../outside.txt", ".git/config", "a%00b", "a%0Ab", "repo.json", ".",
    "%252e%252e%252foutside.txt",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the hub's folder lies in, with a file that nobody may read."""
    folder = tmp_path_factory.mktemp("machine")
    (folder / "outside.txt").write_text("not for you")
    return folder


@pytest.fixture(scope="module")
def hub(folder: Path) -> Iterator[Running]:
    """One hub for all attacks: none may change it."""
    with Running(folder / "hub") as running:
        api = HfApi(endpoint=running.url, token=running.token)
        api.create_repo(REPO)
        api.create_commit(REPO, [CommitOperationAdd("a/file", b"inside")], commit_message="one")
        yield running
        close_session()


def ask(
    hub: Running, method: str, path: str, body: bytes | None = None, *, token: str | None = None
) -> tuple[int, bytes]:
    """Send a request exactly as written: clients tidy paths up."""
    connection = http.client.HTTPConnection(hub.url.removeprefix("http://"), timeout=10)
    connection.request(method, path, body, {"Authorization": f"Bearer {token or hub.token}"})
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def commit(hub: Running, *lines: object, repo: str = REPO) -> int:
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return ask(hub, "POST", f"/api/models/{repo}/commit/main", body)[0]


def header(**more: object) -> dict[str, object]:
    return {"key": "header", "value": {"summary": "s", **more}}


def file(path: str, content: str = b64encode(b"x").decode()) -> dict[str, object]:
    return {"key": "file", "value": {"path": path, "content": content, "encoding": "base64"}}


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_outside_a_repository_is_read(hub: Running, path: str) -> None:
    for prefix in (f"/{REPO}/resolve/main/", f"/datasets/{REPO}/resolve/main/", f"/api/models/{REPO}/tree/main/"):
        status, body = ask(hub, "GET", prefix + path)
        assert status in (400, 404)
        assert b"not for you" not in body
        assert b"root:" not in body


@pytest.mark.parametrize(
    "repo", ["../models", "..%2F..", "me/..", "./pets", "me%2Fpets/x", "me/pets.git", "api/x", "m%C3%A9/x"]
)
def test_no_name_leads_out_of_the_folder(hub: Running, folder: Path, repo: str) -> None:
    before = everything(folder)
    assert ask(hub, "GET", f"/api/models/{repo}")[0] == 404
    namespace, _, name = repo.partition("/")
    body = json.dumps({"organization": namespace, "name": name or "x"}).encode()
    assert ask(hub, "POST", "/api/repos/create", body)[0] == 400
    assert ask(hub, "DELETE", "/api/repos/delete", body)[0] == 400
    move = json.dumps({"fromRepo": REPO, "toRepo": repo, "type": "model"}).encode()
    assert ask(hub, "POST", "/api/repos/move", move)[0] == 400
    assert everything(folder) == before


@pytest.mark.parametrize("type_", ["../x", "model/..", "kernel", 3])
def test_unknown_types_are_refused(hub: Running, type_: object) -> None:
    body = json.dumps({"organization": "me", "name": "x", "type": type_}).encode()
    assert ask(hub, "POST", "/api/repos/create", body)[0] == 400


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../x", "/etc/x", "a//b", "", "a\\b", "a\nb", ".git/hooks/x", "x" * 2000, "a/./b", "a/file/b", "a"],
)
def test_no_commit_writes_a_path_that_clients_could_not(hub: Running, folder: Path, path: str) -> None:
    before = everything(folder)
    assert commit(hub, header(), file(path)) == 400
    assert everything(folder) == before


@pytest.mark.parametrize(
    "lines",
    [
        [], [file("x")], [header(), header()], ["text"], [{"key": "header"}], [header(), file("x", "not base64!")],
        [header(), {"key": "lfsFile", "value": {"path": "x", "oid": "../../x"}}],
        [header(), {"key": "lfsFile", "value": {"path": "x", "oid": "0" * 64}}],
        [header(), {"key": "symlink", "value": {"path": "x"}}],
        [header(parentCommit="../x"), file("x")],
    ],
)  # fmt: skip
def test_a_commit_that_makes_no_sense_is_refused_and_leaves_nothing(
    hub: Running, folder: Path, lines: list[Any]
) -> None:
    before = everything(folder)
    assert commit(hub, *lines) == 400
    assert everything(folder) == before


@pytest.mark.parametrize("name", ["../x", "a..b/../c", "a b", "-x", "x/", "0" * 40, "a\\b", ""])
def test_no_ref_has_a_dangerous_name(hub: Running, name: str) -> None:
    body = json.dumps({"tag": name}).encode()
    assert ask(hub, "POST", f"/api/models/{REPO}/tag/main", body)[0] == 400


def upload(hub: Running, content: bytes, repo: str = REPO) -> dict[str, Any]:
    objects = [{"oid": sha256(content).hexdigest(), "size": len(content)}]
    body = json.dumps({"operation": "upload", "objects": objects}).encode()
    (item,) = json.loads(ask(hub, "POST", f"/{repo}.git/info/lfs/objects/batch", body)[1])["objects"]
    return item


def test_an_lfs_object_must_be_what_was_announced(hub: Running, folder: Path) -> None:
    content = b"the true bytes"
    oid = sha256(content).hexdigest()
    href = upload(hub, content)["actions"]["upload"]["href"]
    before = everything(folder)
    client = get_session()
    assert client.put(href, content=b"the false byte").status_code == 400
    assert client.put(href, content=b"short").status_code == 400
    assert client.put(href, content=content * 1000).status_code == 413
    assert client.put(href.replace(oid, "0" * 64), content=content).status_code == 403
    assert client.put(href[:-1], content=content).status_code == 403
    assert client.put(href.partition("?")[0], content=content).status_code == 403
    assert client.put(href.partition("=")[0] + "=x.y", content=content).status_code == 403
    assert everything(folder) == before
    assert client.put(href, content=content).status_code == 200
    assert "actions" not in upload(hub, content)


def test_another_repositorys_lfs_object_cannot_be_borrowed(hub: Running) -> None:
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo("me/lender")
    api.create_repo("me/other")
    content = b"private"
    oid = sha256(content).hexdigest()
    assert (
        get_session().put(upload(hub, content, "me/lender")["actions"]["upload"]["href"], content=content).status_code
        == 200
    )
    line = {"key": "lfsFile", "value": {"path": "x", "oid": oid}}
    assert commit(hub, header(), line, repo="me/other") == 400
    assert commit(hub, header(), line, repo="me/lender") == 200


def test_bodies_are_bounded(hub: Running) -> None:
    assert ask(hub, "POST", "/api/repos/create", b" " * 17_000_000)[0] == 413
    assert commit(hub, header(), file("x", "A" * 50_000_000)) == 413


def test_the_token_file_is_private(hub: Running, folder: Path) -> None:
    assert (folder / "hub/tokens.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer x", "Basic abc", "Bearer \u00e9", "x"])
def test_no_odd_authorization_passes(hub: Running, authorization: str) -> None:
    response = get_session().get(f"{hub.url}/api/models", headers={"Authorization": authorization.encode()})
    assert response.status_code == 401


def test_a_range_of_a_file_is_delivered_and_a_senseless_one_is_not(hub: Running) -> None:
    url = f"{hub.url}/{REPO}/resolve/main/a/file"
    get = get_session().get
    assert (get(url, headers={"Range": "bytes=2-3"}).status_code, get(url, headers={"Range": "bytes=2-3"}).text) == (
        206,
        "si",
    )
    assert get(url, headers={"Range": "bytes=100-"}).status_code == 416


def test_files_are_never_pages(hub: Running) -> None:
    headers = get_session().get(f"{hub.url}/{REPO}/resolve/main/a/file").headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"].startswith("attachment")


def test_without_the_option_there_are_no_faults(hub: Running) -> None:
    unused: Any = None
    app = create_app(Hub(unused, unused, unused, 0, 0))
    assert not any("_faults" in str(getattr(route, "path", "")) for route in app._app.routes)

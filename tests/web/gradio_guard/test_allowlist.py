"""The holes of a mounted Gradio app stay closed, and what programs need stays open."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tests.conftest import ROOT
from tests.toy import encoded, picture
from tests.web.conftest import Server
from web.gradio_guard.memory import UNFETCHED


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=https://example.com/",
        "/gradio_api/file=http://127.0.0.1/",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=app.py",
        f"/gradio_api/file={ROOT}/app.py",
        "/gradio_api/file=../../../etc/passwd",
        "/gradio_api/file=/tmp/../etc/passwd",
        "/gradio_api/file=%00",
        "/gradio_api/file/etc/passwd",
        "/file=/etc/passwd",
        "/gradio_api/proxy=https://example.com/",
        "/gradio_api/proxy=http://127.0.0.1/",
        "/monitoring",
        "/monitoring/summary",
        "/gradio_api/queue/status",
        "/gradio_api/runs",
        "/gradio_api/deep_link",
        "/gradio_api/dev/reload",
        "/gradio_api/token",
        "/gradio_api/user",
        "/gradio_api/login_check",
        "/gradio_api/custom_component/x/client/component/index.js",
        "/gradio_api/vibe-code",
        "/gradio_api/profiling/summary",
        "/gradio_api/stream/a/b/1/playlist.m3u8",
        "/gradio_api/mcp/",
        "/login",
        "/logout",
    ],
)
def test_doors_that_the_page_does_not_need_are_closed(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/run/classify",
        "/gradio_api/api/classify",
        "/gradio_api/component_server",
        "/gradio_api/process_recording",
        "/gradio_api/vibe-edit",
        "/gradio_api/run-history/connect",
        "/login",
    ],
)
def test_calls_that_skip_the_queue_or_write_files_are_closed(client: httpx.Client, path: str) -> None:
    assert client.post(path, json={"data": []}).status_code == 404


@pytest.mark.parametrize(
    "file",
    [
        {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
        {"path": "/etc/passwd"},
        {"path": f"{ROOT}/pyproject.toml", "meta": {"_type": "gradio.FileData"}},
        {"path": "pyproject.toml", "meta": {"_type": "gradio.FileData"}},
        {"path": "file:///etc/passwd", "meta": {"_type": "gradio.FileData"}},
        {"path": "HTTPS://example.com/a.jpg", "meta": {"_type": "gradio.FileData"}},
        {"file": {"path": "https://example.com/a.jpg", "meta": {"_type": "gradio.FileData"}}},
        [{"path": "https://example.com/a.jpg", "meta": {"_type": "gradio.FileData"}}],
        {"path": "data:image/png;base64,AAAA", "meta": {"_type": "gradio.FileData"}},
        {"path": "\0", "meta": {"_type": "gradio.FileData"}},
        [{"deep": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]}],
    ],
)
@pytest.mark.parametrize("path", ["/gradio_api/call/classify", "/gradio_api/queue/join", "/gradio_api/run/predict"])
def test_an_event_can_name_no_file_but_an_uploaded_one(client: httpx.Client, path: str, file: Any) -> None:
    response = client.post(path, json={"data": [file], "session_hash": "s", "fn_index": 0})
    assert (response.status_code, response.json()["error"]) == (422, "invalid_request")


@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/run/predict"])
@pytest.mark.parametrize("fn_index", [999, -1, None, "0", [], 0.5])
def test_an_event_that_the_page_does_not_have_is_refused(client: httpx.Client, path: str, fn_index: Any) -> None:
    response = client.post(path, json={"data": [], "session_hash": "s", "fn_index": fn_index})
    assert (response.status_code, response.json()["detail"]) == (422, "The page has no such event.")


def test_a_programs_function_cannot_skip_the_queue(client: httpx.Client) -> None:
    functions = client.get("/config").json()["dependencies"]
    (number,) = [function["id"] for function in functions if function["api_name"] == "classify"]
    assert client.post("/gradio_api/run/predict", json={"data": [None], "fn_index": number}).status_code == 404


def test_a_link_among_the_uploads_leads_nowhere(client: httpx.Client) -> None:
    uploaded = Path(upload(client)[0])
    link = uploaded.with_name("link.jpg")
    link.symlink_to("/etc/passwd")
    assert client.get(f"/gradio_api/file={link}").status_code == 404
    body = {"data": [{"path": str(link), "meta": {"_type": "gradio.FileData"}}]}
    assert client.post("/gradio_api/call/classify", json=body).status_code == 422


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b"[" * 100_000, b'{"data": ' * 20_000])
def test_an_event_that_is_no_json_is_refused(client: httpx.Client, body: bytes) -> None:
    response = client.post("/gradio_api/call/classify", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]) == (422, "invalid_request")


@pytest.mark.parametrize("path", ["/gradio_api/run/predict", "/gradio_api/queue/join"])
@pytest.mark.parametrize(
    "event",
    [{"data": [], "fn_index": True}, {"data": ["x"] * 500, "fn_index": 1}, {"data": {}, "fn_index": 1}, {"fn_index": 1}, []],
)  # fmt: skip
def test_an_event_with_other_values_than_the_page_sends_is_refused(client: httpx.Client, path: str, event: Any) -> None:
    answer = client.post(path, json=event)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("classify", {"data": []}),
        ("classify", {"data": ["x", "y"]}),
        ("classify", {"data": {"image": "x"}}),
        ("classify", {}),
        ("classify", 7),
        ("wrong_label", {"data": ["x"]}),
        ("v2/classify", {}),
        ("v2/classify", {"data": ["x"]}),
        ("v2/classify", []),
        ("v2/wrong_label", {"request_id": "x", "label": "red", "more": 1}),
    ],
)
def test_a_function_that_gets_other_values_than_it_takes_says_which(client: httpx.Client, name: str, body: Any) -> None:
    answer = client.post(f"/gradio_api/call/{name}", json=body)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_request")
    names = "image" if "classify" in name else "request_id and label"
    assert answer.json()["detail"] == f"Invalid values. Send {names}."


@pytest.mark.parametrize("values", [({}, "cat"), (["a"], ["b"]), (None, "red"), ("x", 7)])
@pytest.mark.parametrize("version", ["", "v2/"])
def test_a_function_that_gets_values_of_other_types_says_so(
    client: httpx.Client, server: Server, version: str, values: tuple[Any, Any]
) -> None:
    body = dict(zip(("request_id", "label"), values, strict=True)) if version else {"data": values}
    event = client.post(f"/gradio_api/call/{version}wrong_label", json=body).json()["event_id"]
    assert "request_id and label must be strings." in client.get(f"/gradio_api/call/wrong_label/{event}").text
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("name", ["predict", "on_photo", "on_choice", "v2/on_photo", "classify/x", "", "v2/"])
def test_programs_can_call_no_inner_function(client: httpx.Client, name: str) -> None:
    assert client.post(f"/gradio_api/call/{name}", json={"data": [None, None]}).status_code == 404


@pytest.mark.parametrize("path", ["queue/data?session_hash=x", "call/classify/none"])
def test_a_stream_of_a_session_that_is_not_there_ends_without_an_error(
    client: httpx.Client, server: Server, path: str
) -> None:
    before = len(server.log.read_text())
    assert client.get(f"/gradio_api/{path}").status_code == 200
    assert client.get("/health").status_code == 200
    assert server.log.read_text()[before:] == ""


def test_a_program_that_names_no_file_gets_a_sentence(client: httpx.Client, server: Server) -> None:
    event = client.post("/gradio_api/call/classify", json={"data": ["http://127.0.0.1/a.jpg"]}).json()["event_id"]
    assert "event: error" in client.get(f"/gradio_api/call/classify/{event}").text
    assert "Traceback" not in server.log.read_text()


def test_uploads_cannot_be_given_endless_names(client: httpx.Client) -> None:
    assert client.get("/gradio_api/upload_progress", params={"upload_id": "x" * 3000}).status_code == 404
    named = client.post("/gradio_api/upload", params={"upload_id": "x" * 200}, files={"files": b"a"})
    assert named.status_code == 404


@pytest.mark.parametrize("path", ["/gradio_api/call/classify", "/gradio_api/queue/join", "/gradio_api/run/predict"])
@pytest.mark.parametrize("session", ["x" * 65, 7, ["x"]])
def test_sessions_cannot_be_given_endless_names(client: httpx.Client, path: str, session: Any) -> None:
    answer = client.post(path, json={"data": [None], "fn_index": 0, "session_hash": session})
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_request")
    assert "session_hash" in answer.json()["detail"]


def test_a_session_that_fetches_no_answers_gets_no_more(client: httpx.Client) -> None:
    def ask(session: str) -> httpx.Response:
        return client.post("/gradio_api/call/classify", json={"data": [None], "session_hash": session})

    events = [ask("lazy").json()["event_id"] for _ in range(UNFETCHED)]
    refused = ask("lazy")
    assert (refused.status_code, refused.json()["error"]) == (503, "busy")
    assert "Retry-After" in refused.headers
    assert ask("another").status_code == 200
    client.get(f"/gradio_api/call/classify/{events[0]}")
    assert ask("lazy").status_code == 200


def test_no_picture_gets_in_as_a_data_url(client: httpx.Client) -> None:
    event = {"data": [{"url": "data:image/png;base64," + "A" * 300_000}]}
    assert client.post("/gradio_api/call/classify", json=event).status_code == 413


def test_an_upload_that_is_too_large_is_refused(client: httpx.Client) -> None:
    assert client.post("/gradio_api/upload", files={"files": ("a.jpg", bytes(2_010_000))}).status_code == 413
    assert client.post("/gradio_api/upload", files={"files": ("a.jpg", bytes(5_000_000))}).status_code == 413


def test_an_upload_can_be_seen_at_the_address_that_its_sender_got(client: httpx.Client) -> None:
    (path,) = upload(client)
    assert client.get(f"/gradio_api/file={path}").content == encoded(picture("red"))


def upload(client: httpx.Client) -> list[str]:
    paths: list[str] = client.post("/gradio_api/upload", files={"files": ("a.jpg", encoded(picture("red")))}).json()
    return paths


@pytest.fixture
def program(server: Server) -> Client:
    return Client(server.url, verbose=False, analytics_enabled=False)


@pytest.fixture
def red_file(tmp_path: Path) -> Path:
    path = tmp_path / "red.jpg"
    path.write_bytes(encoded(picture("red")))
    return path


def test_a_program_can_classify_and_correct(program: Client, red_file: Path, server: Server) -> None:
    before = len(server.rows())
    answer = program.predict(image=handle_file(red_file), api_name="/classify")
    assert (answer["label"], answer["verdict"]) == ("red", "red")
    saved = program.predict(request_id=answer["request_id"], label="blue", api_name="/wrong_label")
    assert saved["status"] == "saved"
    (row,) = server.rows()[before:]
    assert (row.id, row.corrected_label, row.source) == (saved["id"], "blue", "api")


def test_a_program_can_name_the_address_of_a_picture_which_our_own_fetcher_gets(program: Client, web_site: str) -> None:
    answer = program.predict(image=handle_file(f"{web_site}/red.jpg"), api_name="/classify")
    assert answer["label"] == "red"
    for path, words in (("/page.html", "web page, not a picture"), ("/missing.jpg", r"error \(404\)")):
        with pytest.raises(AppError, match=words):
            program.predict(image=handle_file(f"{web_site}{path}"), api_name="/classify")


def test_the_call_that_the_page_shows_works_as_it_stands(client: httpx.Client, tmp_path: Path) -> None:
    (shown,) = [
        function["code_snippets"]["python"]
        for name, function in client.get("/gradio_api/info").json()["named_endpoints"].items()
        if name == "/classify"
    ]
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "'verdict': " in done.stdout


def test_a_program_gets_the_sentence_of_an_error(program: Client, tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("hello")
    with pytest.raises(AppError, match="This image can't be read"):
        program.predict(image=handle_file(text), api_name="/classify")
    with pytest.raises(AppError, match="has expired"):
        program.predict(request_id="0" * 32, label="red", api_name="/wrong_label")


def test_programs_see_two_functions_and_no_inner_ones(program: Client) -> None:
    info = program.view_api(return_format="dict", print_info=False)
    assert set(info["named_endpoints"]) == {"/classify", "/wrong_label"}
    assert info["unnamed_endpoints"] == {}

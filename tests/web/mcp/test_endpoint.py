"""The tools for agents, asked by the real MCP client."""

import asyncio
import base64
import importlib.util
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from catdog.errors import UrlRefusedError
from tests.conftest import ROOT, missing_tool
from tests.toy import encoded, picture
from tests.web.conftest import DEADLINE_S, Server, environment, running

PATH = "/gradio_api/mcp/"
CORRECTIONS = 9


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path) -> Iterator[Server]:
    if importlib.util.find_spec("mcp") is None:
        missing_tool("no package mcp (the extra of that name brings it)")
    folder = tmp_path_factory.mktemp("mcp")
    settings: dict[str, Any] = {
        "test_allow_private_urls": True,
        "max_bytes": 2_000_000,
        "feedback_limit": f"{CORRECTIONS}/day",
    }
    with running(folder, toy_folder, mcp=True, **settings) as running_server:
        assert httpx.get(running_server.url, timeout=DEADLINE_S).is_success  # the page is built
        yield running_server


def session(server: Server, ask: Callable[[Any], Awaitable[Any]]) -> Any:
    """What an agent gets that connects, says hello and asks."""
    from mcp import ClientSession  # noqa: PLC0415 - not everywhere
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    async def asked() -> Any:
        async with (
            streamable_http_client(f"{server.url}{PATH}") as (read, write, _),
            ClientSession(read, write) as client,
        ):
            await client.initialize()
            return await ask(client)

    return asyncio.run(asked())


def call(server: Server, tool: str, **arguments: str) -> tuple[bool, str]:
    """Whether a tool refused, and what it said."""
    said = session(server, lambda client: client.call_tool(tool, arguments))
    (content,) = said.content
    return said.isError, content.text


def as_address(data: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def test_an_agent_finds_two_tools_that_say_what_they_do(server: Server) -> None:
    tools = {tool.name: tool for tool in session(server, lambda client: client.list_tools()).tools}
    assert set(tools) == {"classify", "wrong_label"}
    assert tools["classify"].description.startswith("Say what a photo shows")
    assert "https://" in tools["classify"].inputSchema["properties"]["image"]["description"]
    assert set(tools["wrong_label"].inputSchema["properties"]) == {"request_id", "label"}
    assert "person" in tools["wrong_label"].description


def test_an_agent_can_classify_and_correct(server: Server, web_site: str) -> None:
    _, text = call(server, "classify", image=f"{web_site}/red.jpg")
    answer = json.loads(text)
    assert (answer["label"], answer["verdict"]) == ("red", "red")
    refused, text = call(server, "wrong_label", request_id=answer["request_id"], label="blue")
    assert not refused
    row = server.rows()[-1]
    assert json.loads(text)["id"] == row.id
    assert (row.predicted_label, row.corrected_label) == ("red", "blue")


def test_a_picture_may_come_within_its_address(server: Server) -> None:
    refused, text = call(server, "classify", image=as_address(encoded(picture("blue"))))
    assert not refused
    assert json.loads(text)["verdict"] == "blue"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("/etc/passwd", "This address can't be reached"),
        ("file:///etc/passwd", "This address can't be reached"),
        ("data:image/jpeg,plain", "not valid base64"),
        ("data:image/jpeg;base64,???", "not valid base64"),
        (as_address(b"text"), "This image can't be read"),
    ],
)
def test_what_is_no_picture_gets_the_sentence_of_the_error(server: Server, image: str, words: str) -> None:
    refused, text = call(server, "classify", image=image)
    assert refused
    assert words in text


def test_an_unknown_prediction_cannot_be_corrected(server: Server) -> None:
    refused, text = call(server, "wrong_label", request_id="0" * 32, label="red")
    assert refused
    assert "has expired" in text


def test_the_rest_of_gradios_server_for_agents_stays_closed(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        assert client.get(PATH).status_code == 405
        for path in ("sse", "schema", "messages/", "http"):
            assert client.get(f"{PATH}{path}").status_code == 404
        page = client.post(PATH, json={}, headers={"Sec-Fetch-Site": "cross-site"})
        assert page.status_code == 403


def post(server: Server, sent: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """One message as it is, past the client's library."""
    content = sent if isinstance(sent, bytes) else json.dumps(sent)
    usual = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    return httpx.post(f"{server.url}{PATH}", content=content, headers={**usual, **(headers or {})}, timeout=30)


def message(method: Any, params: Any = None, **others: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params, **others}


def calling(**arguments: Any) -> dict[str, Any]:
    return message("tools/call", {"name": "classify", "arguments": arguments})


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://evil.example:7860", "Host": "evil.example:7860"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
)
def test_no_web_page_may_call_even_one_whose_name_was_made_to_lead_here(
    server: Server, headers: dict[str, str]
) -> None:
    answer = post(server, message("tools/list"), headers)
    assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")


DEEP = b"[" * 50_000 + b"]" * 50_000


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", -32700),
        (b"\xff", -32700),
        (b"[" * 100_000, -32700),
        (b'{"a":' * 40_000, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"image":' + DEEP + b"}}}", -32700),
        (json.dumps([calling(image="x")] * 3).encode(), -32600),
        (b'"text"', -32600),
        (b'{"id":1,"method":"ping"}', -32600),
        (json.dumps(message("ping", id="x" * 1000)).encode(), -32600),
        (json.dumps(message("ping", id=[1])).encode(), -32600),
        (json.dumps(message(7)).encode(), -32600),
    ],
)
def test_what_is_no_message_is_refused(server: Server, content: bytes, code: int) -> None:
    answer = post(server, content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (message("resources/read", {"uri": "file:///etc/passwd"}), -32601),
        (message("prompts/get", {"name": "classify"}), -32601),
        (message("sampling/createMessage", {}), -32601),
        (message("tools/call"), -32602),
        (message("tools/call", {"name": "classify", "arguments": "http://secret.example/"}), -32602),
        (message("initialize", {"clientInfo": "http://secret.example/"}), -32602),
        (calling(image={"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}), -32602),
        (calling(image=7), -32602),
        (calling(image=json.loads("[" * 900 + "]" * 900)), -32602),
    ],
)
def test_other_methods_and_parameters_get_an_error(server: Server, sent: Any, code: int) -> None:
    answer = post(server, sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (200, code)


def test_notifications_are_taken_and_other_fields_dropped(server: Server) -> None:
    assert post(server, {"jsonrpc": "2.0", "method": "notifications/cancelled"}).status_code == 202
    deep = json.loads("[" * 900 + "]" * 900)
    sent = message("tools/list", {"_meta": {"progressToken": deep}, "cursor": deep})
    assert "wrong_label" in post(server, sent).text


def test_a_message_is_small_and_a_client_has_its_share_of_corrections(server: Server) -> None:
    assert post(server, calling(image="x" * 300_000)).status_code == 413
    wrong = message("tools/call", {"name": "wrong_label", "arguments": {"request_id": "x", "label": "red"}})
    said = [post(server, wrong, {"X-Forwarded-For": f"9.9.9.{n}"}).text for n in range(CORRECTIONS + 1)]
    assert "has expired" in said[0]
    assert "Too many requests" in said[-1]


def test_each_agent_takes_its_turn_under_its_own_address() -> None:
    from web.mcp.tools import McpTools  # noqa: PLC0415 - Gradio takes seconds

    clients = []

    class Recorder:
        async def classify_url(self, url: str, *, client: str = "") -> None:
            clients.append((url, client))
            raise UrlRefusedError("no")

        async def classify(self, read: object, source: object, *, client: str = "") -> None:
            clients.append((str(source), client))
            raise UrlRefusedError("no")

    parts: Any = SimpleNamespace(
        service=Recorder(), metrics=SimpleNamespace(failed=lambda _: None), client_of=lambda request: request
    )
    for image in ("https://example.com/a.jpg", "data:image/jpeg;base64,AAAA"):
        with pytest.raises(Exception, match="no"):
            asyncio.run(McpTools(parts).classify(image, "192.0.2.7"))  # type: ignore[arg-type]
    assert clients == [("https://example.com/a.jpg", "192.0.2.7"), ("api", "192.0.2.7")]


def test_nothing_of_all_that_is_in_the_log(server: Server) -> None:
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "secret.example" not in log
    assert "validation error" not in log


def test_without_the_package_it_says_what_to_install(tmp_path: Path, toy_folder: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n, *a: None if n == 'mcp' else f(n, *a)"
    )
    env = environment(mcp=True, port=0, model=toy_folder, data_dir=tmp_path / "data") | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pip install "gradio[mcp]"' in done.stderr
    assert "Traceback" not in done.stderr

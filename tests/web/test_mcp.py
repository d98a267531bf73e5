"""The tools for agents, asked by the real MCP client."""

import asyncio
import base64
import importlib.util
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT, missing_tool
from tests.toy import encoded, picture
from tests.web.conftest import Server, environment, running

PATH = "/gradio_api/mcp/"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, toy_folder: Path) -> Iterator[Server]:
    if importlib.util.find_spec("mcp") is None:
        missing_tool("no package mcp (the extra of that name brings it)")
    folder = tmp_path_factory.mktemp("mcp")
    with running(folder, toy_folder, mcp=True, test_allow_private_urls=True, max_bytes=2_000_000) as running_server:
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
    answer = json.loads(text.replace("'", '"').replace("None", "null"))
    assert (answer["label"], answer["verdict"]) == ("red", "red")
    refused, text = call(server, "wrong_label", request_id=answer["request_id"], label="blue")
    assert not refused
    row = server.rows()[-1]
    assert row.id in text
    assert (row.predicted_label, row.corrected_label) == ("red", "blue")


def test_a_picture_may_come_within_its_address(server: Server) -> None:
    refused, text = call(server, "classify", image=as_address(encoded(picture("blue"))))
    assert not refused
    assert "'verdict': 'blue'" in text


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("/etc/passwd", "This address cannot be used"),
        ("file:///etc/passwd", "This address cannot be used"),
        ("data:image/jpeg,plain", "not in base64"),
        ("data:image/jpeg;base64,???", "not in base64"),
        (as_address(b"text"), "no image that can be read"),
    ],
)
def test_what_is_no_picture_gets_the_sentence_of_the_error(server: Server, image: str, words: str) -> None:
    refused, text = call(server, "classify", image=image)
    assert refused
    assert words in text


def test_an_unknown_prediction_cannot_be_corrected(server: Server) -> None:
    refused, text = call(server, "wrong_label", request_id="0" * 32, label="red")
    assert refused
    assert "no longer remembered" in text


def test_the_rest_of_gradios_server_for_agents_stays_closed(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        assert client.get(PATH).status_code == 405
        for path in ("sse", "schema", "messages/", "http"):
            assert client.get(f"{PATH}{path}").status_code == 404
        page = client.post(PATH, json={}, headers={"Sec-Fetch-Site": "cross-site"})
        assert page.status_code == 403


def test_without_the_package_it_says_what_to_install(tmp_path: Path, toy_folder: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n, *a: None if n == 'mcp' else f(n, *a)"
    )
    env = environment(mcp=True, port=0, model=toy_folder, data_dir=tmp_path / "data") | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pip install "gradio[mcp]"' in done.stderr
    assert "Traceback" not in done.stderr

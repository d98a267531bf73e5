"""Pictures in request bodies: raw, in forms and in JSON; small ones in memory, large ones on the disk."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from catdog.errors import UnreadableImageError
from tests.toy import encoded, picture
from tests.web.conftest import Server
from web.api.body import IN_MEMORY_BYTES, Form, decoded, parsed_form, spooled_body

FORM = "multipart/form-data; boundary=b"
RED = encoded(picture("red"))


def request_of(body: bytes, content_type: str = "image/jpeg") -> Request:
    parts = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]
    messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b""})

    async def receive() -> Message:
        return messages.pop(0)

    headers = [(b"content-type", content_type.encode())]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


def form_of(data: bytes, disposition: str = 'form-data; name="file"; filename="a"') -> bytes:
    return f"--b\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + data + b"\r\n--b--\r\n"


def field(name: str, value: str) -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def parsed(body: bytes, check: Callable[[Form], Any], *, content_type: str = FORM, max_fields: int = 1) -> Any:
    async def parse() -> Any:
        async with parsed_form(request_of(body, content_type), max_fields=max_fields) as form:
            return check(form)

    return anyio.run(parse)


def picture_in(form: Form) -> bytes:
    assert form.picture is not None
    return form.picture()


@pytest.mark.parametrize(("size", "on_disk"), [(IN_MEMORY_BYTES, False), (IN_MEMORY_BYTES + 1, True)])
def test_a_large_body_waits_on_the_disk(size: int, on_disk: bool) -> None:
    data = bytes(size)

    async def read() -> None:
        async with spooled_body(request_of(data)) as file:
            assert file._rolled is on_disk  # type: ignore[attr-defined]
            assert file.read() == data
        assert file.closed

    anyio.run(read)
    assert parsed(form_of(data), picture_in) == data


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n", b"--bc\r\n", b"\r\n--", b"\r\n--bc\r\n", b"x" * 255_000 + b"\r\n--" + b"y" * 255_000],
    ids=["nothing", "a line break", "a boundary inside a line", "half a boundary", "a longer word", "across windows"],
)
def test_a_picture_comes_out_of_a_form_as_it_was_put_in(data: bytes) -> None:
    body = field("label", "red") + form_of(data)
    assert parsed(b"preamble\r\n" + body, lambda form: (form.fields, picture_in(form))) == ({"label": "red"}, data)


@pytest.mark.parametrize(
    ("disposition", "content_type"),
    [
        ("form-data; name=file; filename=a", FORM),
        ("form-data; filename*=UTF-8''%e2%82%ac.jpg; name=\"file\"", FORM),
        ('form-data; name="file"', 'multipart/form-data; charset=x; boundary="b"'),
    ],
)
def test_the_header_of_a_part_may_be_written_in_other_ways(disposition: str, content_type: str) -> None:
    assert parsed(form_of(b"data", disposition), picture_in, content_type=content_type) == b"data"


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b"",
        form_of(b"1")[:-7] + form_of(b"2"),
        b"--b\r\n\r\ndata\r\n--b--\r\n",
        b"--b\r\nContent-Disposition: form-data\r\n\r\ndata\r\n--b--\r\n",
        form_of(b"1", "form-data; name=other; filename=a"),
        field("a", "1") + field("b", "2") + form_of(b""),
        field("a", "x" * 2000) + form_of(b""),
        b"--b\r\nContent-Disposition: form-data; name=file\r\n" + b"X: y\r\n" * 2000 + b"\r\nx\r\n--b--\r\n",
        form_of(b"\r\n--bx" * 100_000),
    ],
    ids=[
        "text",
        "empty",
        "two files",
        "no headers",
        "no name",
        "wrong file",
        "fields",
        "field",
        "headers",
        "boundaries",
    ],
)
def test_a_damaged_form_or_one_with_too_much_is_refused(body: bytes) -> None:
    with pytest.raises(HTTPException):
        parsed(body, lambda form: None)


def test_a_form_of_almost_boundaries_leaves_the_event_loop_free() -> None:
    line = b"\r\n--" + b"b" * 69
    body = b"--" + b"b" * 70 + b'\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + line * 260_000
    body += b"\r\n--" + b"b" * 70 + b"--\r\n"

    async def longest_pause() -> float:
        longest, done = 0.0, False

        async def tick() -> None:
            nonlocal longest
            while not done:
                before = time.thread_time()
                await anyio.lowlevel.checkpoint()
                longest = max(longest, time.thread_time() - before)

        async with anyio.create_task_group() as group:
            group.start_soon(tick)
            async with parsed_form(request_of(body, f"multipart/form-data; boundary={'b' * 70}"), max_fields=1):
                done = True
        return longest

    assert anyio.run(longest_pause) < 0.5  # of this thread's processor time: it was 2.5 s


def test_base64_is_read_with_and_without_its_prefix() -> None:
    text = base64.b64encode(RED).decode()
    assert decoded(text) == decoded(f"data:image/jpeg;base64,{text}") == RED
    for wrong in ("a", "äöü", "data:image/jpeg,text", f"http://a,{text}"):
        with pytest.raises(UnreadableImageError):
            decoded(wrong)


def test_a_picture_may_be_the_body_itself_or_inside_json(client: httpx.Client, web_site: str) -> None:
    text = base64.b64encode(RED).decode()
    for answer in (
        client.post("/predict", content=RED, headers={"Content-Type": "image/jpeg"}),
        client.post("/predict", content=RED, headers={"Content-Type": "application/octet-stream"}),
        client.post("/predict", json={"image": text}),
        client.post("/predict", json={"image": f"data:image/jpeg;base64,{text}"}),
        client.post("/predict", json={"url": f"{web_site}/red.jpg"}),
    ):
        assert (answer.status_code, answer.json().get("label")) == (200, "red"), answer.text


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_request"),
        ({"url": "http://a.example/", "image": "AAAA"}, 422, "invalid_request"),
        ({"picture": "AAAA"}, 422, "invalid_request"),
        ({"image": 5}, 422, "invalid_request"),
        ([], 422, "invalid_request"),
        ({"image": "not base64!"}, 422, "unreadable_image"),
        ({"image": "AAAA"}, 422, "unreadable_image"),
        ({"url": "nonsense"}, 422, "url_refused"),
        ({"image": base64.b64encode(bytes(2_000_001)).decode()}, 413, "image_too_large"),
        ({"image": "A" * 3_000_000}, 413, "body_too_large"),
    ],
)
def test_json_that_holds_no_picture_is_refused_with_a_code(
    client: httpx.Client, body: object, status: int, code: str
) -> None:
    answer = client.post("/predict", json=body)
    assert (answer.status_code, answer.json()["error"]) == (status, code), answer.text


def test_a_raw_body_has_the_limits_of_a_form(client: httpx.Client) -> None:
    kind = {"Content-Type": "image/jpeg"}
    assert client.post("/predict", content=b"text", headers=kind).json()["error"] == "unreadable_image"
    assert client.post("/predict", content=bytes(2_000_001), headers=kind).json()["error"] == "image_too_large"
    assert client.post("/predict", content=bytes(2_100_000), headers=kind).json()["error"] == "body_too_large"


def test_only_bodies_with_a_picture_may_be_large(client: httpx.Client, server: Server) -> None:
    sent = json.dumps({"request_id": "0" * 32, "label": "red", "more": "x" * 300_000})
    for path in ("/feedback", "/feedback/", "/gradio_api/run/predict", "/gradio_api/queue/join", "/admin/login"):
        refused = client.post(path, content=sent, headers={"Content-Type": "application/json"})
        assert (refused.status_code, refused.json()["error"]) == (413, "body_too_large"), path
    assert client.request("DELETE", "/feedback", content=sent).status_code == 413
    assert client.post("/page/frame", content=bytes(2_000_001)).status_code == 413

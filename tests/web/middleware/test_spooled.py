"""Bodies that wait: small ones in memory, large ones on the disk, none that no route needs."""

import json
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from tests.web.conftest import Server
from web.middleware.spooled import IN_MEMORY_BYTES, spooled_body, spooled_form

FORM = "multipart/form-data; boundary=b"


def request_of(body: bytes, content_type: str = "image/jpeg") -> Request:
    parts = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]
    messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b""})

    async def receive() -> Message:
        return messages.pop(0)

    headers = [(b"content-type", content_type.encode())]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


def form_of(data: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + data + b"\r\n--b--\r\n"


@pytest.mark.parametrize(("size", "on_disk"), [(IN_MEMORY_BYTES, False), (IN_MEMORY_BYTES + 1, True)])
def test_a_large_body_waits_on_the_disk(size: int, on_disk: bool) -> None:
    data = bytes(size)

    async def read() -> None:
        async with spooled_body(request_of(data)) as file:
            assert file._rolled is on_disk  # type: ignore[attr-defined]
            assert file.read() == data
        assert file.closed
        async with spooled_form(request_of(form_of(data), FORM), max_files=1, max_fields=1) as form:
            upload = form["file"]
            assert not isinstance(upload, str)
            assert upload.file._rolled is on_disk  # type: ignore[attr-defined]
            assert await upload.read() == data
        assert upload.file.closed

    anyio.run(read)


def test_a_damaged_form_and_one_with_too_much_are_refused() -> None:
    async def refused(body: bytes) -> None:
        with pytest.raises(HTTPException):
            async with spooled_form(request_of(body, FORM), max_files=1, max_fields=1):
                pass

    anyio.run(refused, b"nonsense")
    anyio.run(refused, form_of(b"1")[:-7] + form_of(b"2"))


def test_what_is_no_form_has_no_fields_and_is_not_read() -> None:
    async def never() -> AsyncIterator[bytes]:
        pytest.fail("it was read")
        yield b""

    async def read() -> None:
        request = request_of(b"", "application/json")
        request.stream = never  # type: ignore[method-assign]
        async with spooled_form(request, max_files=1, max_fields=1) as form:
            assert not form

    anyio.run(read)


def test_only_bodies_with_a_picture_may_be_large(client: httpx.Client, server: Server) -> None:
    told = json.dumps({"request_id": "0" * 32, "label": "red", "more": "x" * 300_000})
    for path in ("/feedback", "/feedback/", "/gradio_api/run/predict", "/gradio_api/queue/join", "/admin/login"):
        refused = client.post(path, content=told, headers={"Content-Type": "application/json"})
        assert (refused.status_code, refused.json()["error"]) == (413, "body_too_large"), path
    assert client.request("DELETE", "/feedback", content=told).status_code == 413
    assert client.post("/page/frame", content=bytes(2_000_001)).status_code == 413

"""What of the Model Context Protocol is let in: an agent's greeting, its questions for what there is, calls of tools.

The protocol's library answers nesting that is too deep with an error 500 and a traceback, and writes what does not fit
into the log, with parts of what was sent. So each message is read here first, and passed on made anew of the parts that
the tools need.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, StrictStr, ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from web.errors import Problems
from web.gradio_guard.allowlist import replay

_PARSE_ERROR, _INVALID_REQUEST, _METHOD_NOT_FOUND, _INVALID_PARAMS = -32700, -32600, -32601, -32602  # of JSON-RPC 2.0
_LONGEST_ID = 100
_OF_BROWSERS = ("Origin", "Sec-Fetch-Site")
_FOR_AGENTS = "This address is for agents; a web page may not use it."


class _Nothing(BaseModel):
    """Parameters that no answer depends on."""


class _Program(BaseModel):
    name: StrictStr
    version: StrictStr


class _Greeting(BaseModel):
    protocolVersion: StrictStr  # noqa: N815 - the protocol's name
    capabilities: _Nothing
    clientInfo: _Program  # noqa: N815


class _Call(BaseModel):
    name: StrictStr
    arguments: dict[StrictStr, StrictStr] = {}


_PARAMETERS: Mapping[str, type[BaseModel]] = {
    "initialize": _Greeting,
    "ping": _Nothing,
    "tools/list": _Nothing,
    "tools/call": _Call,
    "prompts/list": _Nothing,
    "resources/list": _Nothing,
    "resources/templates/list": _Nothing,
}


class McpDoor:
    """ASGI app around the protocol's server.

    Whatever a browser sends is refused, wherever its page says that it comes from: a page whose name was made to lead
    here (DNS rebinding) is of the same origin, as the browser sees it. Agents send no `Origin`.
    """

    def __init__(self, app: ASGIApp, problems: Problems) -> None:
        """Wrap the server; `problems` words the refusal."""
        self._app = app
        self._problems = problems

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a message on, or answer it."""
        headers = Headers(scope=scope)
        if any(name in headers for name in _OF_BROWSERS):
            await self._problems.answer(scope["path"], "forbidden", _FOR_AGENTS)(scope, receive, send)
            return
        read = _read(await Request(scope, receive).body())
        if isinstance(read, Response):
            await read(scope, receive, send)
        else:
            await self._app(_with_length(scope, len(read)), replay(read, receive), send)


def _read(body: bytes) -> bytes | Response:
    """The message made anew, or the answer to what is none."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return _error(None, _PARSE_ERROR, "This is no JSON that can be read.")
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return _error(None, _INVALID_REQUEST, "This is no single message of JSON-RPC 2.0.")
    number, method = message.get("id"), message.get("method")
    if number is None or method is None:
        return Response(status_code=202)  # a notification, or an answer to what was never asked
    if not _is_id(number) or not isinstance(method, str):
        return _error(None, _INVALID_REQUEST, "The id has to be a short text or a number, the method a text.")
    return _anew(number, method, message.get("params") or {})


def _anew(number: str | int, method: str, sent: Any) -> bytes | Response:
    if method not in _PARAMETERS:
        return _error(number, _METHOD_NOT_FOUND, "There is no such method here.")
    try:
        parameters = _PARAMETERS[method].model_validate(sent)
    except ValidationError:
        return _error(number, _INVALID_PARAMS, "The parameters do not fit. Arguments of tools are texts.")
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters.model_dump()}).encode()


def _is_id(value: Any) -> bool:
    return type(value) in (str, int) and len(str(value)) <= _LONGEST_ID


def _error(number: str | int | None, code: int, text: str) -> Response:
    error = {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": text}}
    return JSONResponse(error, 400 if number is None else 200)


def _with_length(scope: Scope, length: int) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
    return {**scope, "headers": [*headers, (b"content-length", str(length).encode())]}

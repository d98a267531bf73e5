"""The MCP endpoint: an agent's handshake, its listings, and tool calls; nothing else is let in.

The protocol's library responds to deep nesting with a 500 and a traceback, and logs invalid messages with parts of what
was sent. So each message is validated here first, and rebuilt from the parts that the tools need.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, StrictStr, ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from web.errors import ErrorResponses
from web.middleware.body_limit import replay

_PARSE_ERROR, _INVALID_REQUEST, _METHOD_NOT_FOUND, _INVALID_PARAMS = -32700, -32600, -32601, -32602  # of JSON-RPC 2.0
_LONGEST_ID = 100
_OF_BROWSERS = ("Origin", "Sec-Fetch-Site")
_FOR_AGENTS = "This address is for agents; a web page may not use it."


class _Nothing(BaseModel):
    """Parameters that no response depends on."""


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


class McpEndpoint:
    """ASGI app around the protocol's server.

    Whatever a browser sends is refused, whatever its origin: with DNS rebinding, an attacker's page has the same origin
    in the browser's eyes. Agents send no `Origin`.
    """

    def __init__(self, app: ASGIApp, errors: ErrorResponses) -> None:
        """Wrap the server; `errors` words the refusal."""
        self._app = app
        self._errors = errors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a message on, or respond to it."""
        headers = Headers(scope=scope)
        if any(name in headers for name in _OF_BROWSERS):
            await self._errors.response(scope, "forbidden", _FOR_AGENTS)(scope, receive, send)
            return
        read = _read(await Request(scope, receive).body())
        if isinstance(read, Response):
            await read(scope, receive, send)
        else:
            await self._app(_with_length(scope, len(read)), replay(read, receive), send)


def _read(body: bytes) -> bytes | Response:
    """The rebuilt message, or the response to an invalid one."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return _error(None, _PARSE_ERROR, "The body is not valid JSON.")
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return _error(None, _INVALID_REQUEST, "The body is not a single JSON-RPC 2.0 message.")
    number, method = message.get("id"), message.get("method")
    if number is None or method is None:
        return Response(status_code=202)  # a notification, or a response to nothing
    if not _is_id(number) or not isinstance(method, str):
        return _error(None, _INVALID_REQUEST, "The id must be a short string or a number, the method a string.")
    return _rebuilt(number, method, message.get("params") or {})


def _rebuilt(number: str | int, method: str, sent: Any) -> bytes | Response:
    if method not in _PARAMETERS:
        return _error(number, _METHOD_NOT_FOUND, "Unknown method.")
    try:
        parameters = _PARAMETERS[method].model_validate(sent)
    except ValidationError:
        return _error(number, _INVALID_PARAMS, "Invalid parameters: tool arguments must be strings.")
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters.model_dump()}).encode()


def _is_id(value: Any) -> bool:
    return type(value) in (str, int) and len(str(value)) <= _LONGEST_ID


def _error(number: str | int | None, code: int, text: str) -> Response:
    error = {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": text}}
    return JSONResponse(error, 400 if number is None else 200)


def _with_length(scope: Scope, length: int) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
    return {**scope, "headers": [*headers, (b"content-length", str(length).encode())]}

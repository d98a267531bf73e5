"""The Gradio allowlist: only what the page needs of the mounted app is reachable.

A mounted Gradio app serves more than its page: a proxy to any web address, a handler for screen recordings, monitoring,
and events that name files on this disk or addresses to fetch. Everything that is not listed here is closed.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from web.errors import ErrorResponses
from web.gradio_guard import CALL, EVENTS, UPLOAD
from web.gradio_guard.memory import LONGEST_SESSION, UNFETCHED, Unfetched, UploadShares
from web.middleware.body_limit import replay
from web.page.uploads import Uploads

_READ = frozenset(
    (
        "/",
        "/config",
        "/favicon.ico",
        "/robots.txt",
        "/theme.css",
        "/gradio_api/app_id",
        "/gradio_api/info",
        "/gradio_api/queue/data",
        "/gradio_api/startup-events",
        "/gradio_api/upload_progress",
    )
)
_READ_BELOW = ("/assets/", "/static/", "/svelte/", "/gradio_api/call/", "/gradio_api/heartbeat/")
_FILE = "/gradio_api/file="
_WRITE = frozenset(("/gradio_api/upload", "/gradio_api/cancel", "/gradio_api/reset"))
_BY_NAME = "v2/"  # the values are fields of the body, not a list
_UNFETCHED = f"This session has left {UNFETCHED} results unfetched. Fetch them first."
_SHARE_USED = "You have uploaded too much within ten minutes. Wait a few minutes, or send pictures to POST /predict."
_UNKNOWN_BYTES = 20_000_000
_LONGEST_QUERY, _LONGEST_UPLOAD_ID = 2048, 128


class GradioAllowlist:
    """ASGI app around the mounted Gradio app.

    Requests that match no other route end up here, so it also responds with 404 and 405.
    """

    def __init__(  # noqa: PLR0913 - all that it lets through
        self,
        app: ASGIApp,
        *,
        routes: Sequence[BaseRoute],
        uploads: Uploads,
        errors: ErrorResponses,
        events: Mapping[int, int],
        functions: Mapping[str, Sequence[str]],
        unfetched: Unfetched,
        shares: UploadShares,
        client_of: Callable[[Request], str],
    ) -> None:
        """Wrap the mounted app.

        Args:
            app: Gradio's app.
            routes: The routes beside it: asked with a wrong method, they end up here.
            uploads: The only files that events may name, or that are served.
            errors: Words the refusals.
            events: The page's events: how many values each takes, by the number that Gradio gave it.
            functions: Those that programs may call, by name: what the values that each takes are called.
            unfetched: The results that programs have not fetched.
            shares: How much each client may upload.
            client_of: The address of the client behind a request.
        """
        self._app = app
        self._events = events
        self._functions = functions
        self._routes = routes
        self._uploads = uploads
        self._errors = errors
        self._unfetched = unfetched
        self._shares = shares
        self._client_of = client_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what the page needs."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if scope["method"] == "POST" and (path in EVENTS or self._is_function(path)):
            await self._pass_event(scope, receive, send)
        elif scope["method"] == "POST" and path == UPLOAD and not self._may_upload(scope):
            await self._errors.response(scope, "busy", _SHARE_USED)(scope, receive, send)
        elif self._is_open(scope["method"], path) and len(scope["query_string"]) <= _longest_query(path):
            await self._pass_reading(scope, receive, send)
        else:
            await self._refusal(scope)(scope, receive, send)

    def _is_function(self, path: str) -> bool:
        """Whether a path calls a function that programs may call; Gradio would let them call each of the page's."""
        return path.startswith(CALL) and _function(path) in self._functions

    def _may_upload(self, scope: Scope) -> bool:
        """Whether a client's share has room for what it announces; without a length, for one part of it at least."""
        request = Request(scope)
        announced = request.headers.get("Content-Length", "")
        return self._shares.take(self._client_of(request), int(announced) if announced.isdecimal() else _UNKNOWN_BYTES)

    def _is_open(self, method: str, path: str) -> bool:
        if method == "POST":
            return path in _WRITE
        if method not in ("GET", "HEAD"):
            return False
        if path.startswith(_FILE):
            return self._uploads.holds(path.removeprefix(_FILE))
        return path in _READ or path.startswith(_READ_BELOW)

    async def _pass_reading(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. A stream that Gradio breaks off because it knows no such session just ends."""
        try:
            await self._app(scope, receive, send)
        except RuntimeError as error:
            if not isinstance(error.__cause__, HTTPException):
                raise
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pass_event(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an event on if every file that it names was uploaded: Gradio would fetch or open any other.

        A file that is an address is passed on as a mere text, which our own fetcher gets.
        """
        body = await Request(scope, receive).body()
        try:
            event = json.loads(body)
        except (ValueError, RecursionError):
            event = None
        if _replace_addresses(event):
            body = json.dumps(event).encode()
        session = event.get("session_hash") if isinstance(event, dict) else None
        if problem := self._problem(scope["path"], event, session):
            await self._errors.response(scope, "invalid_request", problem)(scope, receive, send)
        elif session and not self._unfetched.may_ask(session):
            await self._errors.response(scope, "busy", _UNFETCHED)(scope, receive, send)
        else:
            await self._app(scope, replay(body, receive), send)

    def _problem(self, path: str, event: Any, session: Any) -> str | None:
        """What is wrong with an event, None if nothing is."""
        if event is None:
            return "The body is not valid JSON."
        if session is not None and not (isinstance(session, str) and len(session) <= LONGEST_SESSION):
            return f"session_hash must be a string of at most {LONGEST_SESSION} characters."
        if path in EVENTS and not self._is_event(event):
            return "The page has no such event."
        if path not in EVENTS and not _fits(path, event, names := self._functions[_function(path)]):
            return f"Invalid values. Send {' and '.join(names)}."
        return None if all(map(self._uploads.holds, _paths(event))) else "Only uploaded files can be named."

    def _is_event(self, event: Any) -> bool:
        """Whether the page has an event of this number, and it takes as many values."""
        if (count := _count(event)) is None:
            return False
        number = event.get("fn_index")
        return type(number) is int and self._events.get(number) == count

    def _refusal(self, scope: Scope) -> Response:
        """405 where one of our own routes has this path, else 404."""
        partial = (r for r in self._routes if isinstance(r, Route) and r.matches(scope)[0] is Match.PARTIAL)
        if methods := ", ".join(sorted(method for route in partial for method in route.methods or ())):
            detail = f"Use {methods} at this address. See /docs."
            return self._errors.response(scope, "method_not_allowed", detail, {"Allow": methods})
        return self._errors.response(scope, "not_found", "There is nothing at this address. See /docs.")


def _function(path: str) -> str:
    """The name of the function that a path calls."""
    return path.removeprefix(CALL).removeprefix(_BY_NAME)


def _fits(path: str, event: Any, names: Sequence[str]) -> bool:
    """Whether an event brings the values that a function takes."""
    if path.startswith(f"{CALL}{_BY_NAME}"):
        return isinstance(event, dict) and event.keys() == set(names)
    return _count(event) == len(names)


def _count(event: Any) -> int | None:
    """How many values an event brings, None if there is no list of them."""
    data = event.get("data") if isinstance(event, dict) else None
    return len(data) if isinstance(data, list) else None


def _longest_query(path: str) -> int:
    """How many bytes a query may have: less where Gradio remembers what it says."""
    return _LONGEST_UPLOAD_ID if path.startswith(UPLOAD) else _LONGEST_QUERY


def _replace_addresses(event: Any) -> bool:
    """Put its address in place of each value that is a file on the web; returns whether there is any."""
    values = event.get("data", event) if isinstance(event, dict) else None
    if isinstance(values, dict):
        places: list[Any] = list(values)
    elif isinstance(values, list):
        places = list(range(len(values)))
    else:
        return False
    found = [place for place in places if _is_address(values[place])]
    for place in found:
        values[place] = values[place]["path"]
    return bool(found)


def _is_address(value: Any) -> bool:
    path = value.get("path") if isinstance(value, dict) else None
    return isinstance(path, str) and path.startswith(("http://", "https://"))


def _paths(value: Any) -> Iterator[str]:
    """Everything in a JSON value that Gradio may take for the path of a file."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if isinstance(path := item.get("path"), str):
                yield path
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)

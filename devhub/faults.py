"""Faults on demand, so that tests can see how a client behaves when the Hub does not.

A rule waits for requests that match, lets the first `nth - 1` pass, and spoils the next `times`. Rules are listed,
added and removed at `/_faults`, by somebody who may write.
"""

import asyncio
import re
import threading
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FAULTS_PATH = "/_faults"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Match(_Strict):
    """Which requests."""

    method: str | None = None
    """Any if None."""
    path: str = ""
    """A regular expression that is searched in the path, as sent."""
    nth: int = Field(1, ge=1)
    """The first matching request that is spoiled, counted from 1."""

    @field_validator("path")
    @classmethod
    def _compiles(cls, path: str) -> str:
        try:
            re.compile(path)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        return path

    def fits(self, method: str, path: str) -> bool:
        """Whether a request matches."""
        return self.method in (None, method) and re.search(self.path, path) is not None


class Fault(_Strict):
    """What happens to them."""

    status: int | None = Field(None, ge=400, le=599)
    """Answer with this status; None lets the request through, but late or cut."""
    headers: dict[str, str] = {}
    """Added to that answer, for example `Retry-After`."""
    delay_s: float = Field(0.0, ge=0, le=600)
    """Wait before anything else."""
    cut_body_after: int | None = Field(None, ge=0)
    """Close the connection after so many bytes of the true answer's body."""
    after_commit: bool = False
    """Do what was asked before answering with `status`: "500, but committed"."""


class Rule(_Strict):
    """A fault and the requests that meet it."""

    match: Match = Match()
    fault: Fault
    times: int = Field(1, ge=1)


@dataclass(slots=True)
class _Counted:
    rule: Rule
    seen: int = 0
    fired: int = 0

    def meets(self, method: str, path: str) -> bool:
        if not self.rule.match.fits(method, path):
            return False
        self.seen += 1
        if self.seen < self.rule.match.nth or self.fired >= self.rule.times:
            return False
        self.fired += 1
        return True


@dataclass(slots=True)
class Faults:
    """The rules that are waiting, oldest first."""

    _rules: list[_Counted] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, rule: Rule) -> None:
        """Queue a rule."""
        with self._lock:
            self._rules.append(_Counted(rule))

    def clear(self) -> None:
        """Forget all rules."""
        with self._lock:
            self._rules.clear()

    def report(self) -> list[dict[str, object]]:
        """Each rule with how many requests it has seen, how often it fired, and how often it still will."""
        with self._lock:
            return [
                {**c.rule.model_dump(), "seen": c.seen, "fired": c.fired, "left": c.rule.times - c.fired}
                for c in self._rules
            ]

    def meet(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, if any; only the first rule that fires counts."""
        with self._lock:
            return next((c.rule.fault for c in self._rules if c.meets(method, path)), None)


class FaultMiddleware:
    """Spoils the requests that the rules name."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        path = scope.get("path", "")
        fault = None
        if scope["type"] == "http" and path != FAULTS_PATH:
            fault = self._faults.meet(scope["method"], path)
        if fault is None:
            await self._app(scope, receive, send)
            return
        await asyncio.sleep(fault.delay_s)
        if fault.status is None:
            await self._app(scope, receive, _cut(send, fault.cut_body_after))
            return
        if fault.after_commit:
            await self._app(scope, receive, _nowhere)
        else:
            await _drain(receive)
        await _answer(fault, fault.status)(scope, receive, send)


def _answer(fault: Fault, status: int) -> JSONResponse:
    response = JSONResponse({"error": f"Fault on demand: {status}"}, status_code=status)
    MutableHeaders(raw=response.raw_headers).update(Headers(fault.headers))
    return response


async def _drain(receive: Receive) -> None:
    """Read the body, so that the client sees the answer rather than a broken pipe."""
    more = True
    while more:
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)


async def _nowhere(message: Message) -> None:
    """Take an answer that nobody is to see."""


def _cut(send: Send, limit: int | None) -> Send:
    """Pass on the first bytes of an answer; that the rest never comes closes the connection."""
    if limit is None:
        return send
    left = limit
    state: Literal["open", "cut"] = "open"

    async def send_some(message: Message) -> None:
        nonlocal left, state
        if message["type"] != "http.response.body":
            await send(message)
            return
        if state == "open":
            body = message.get("body", b"")[:left]
            left -= len(body)
            state = "open" if left else "cut"
            await send({"type": "http.response.body", "body": body, "more_body": True})

    return send_some

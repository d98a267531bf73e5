"""The table of routes: what each one costs its client, how large a body it takes, and who may call it.

A route is declared once, where its endpoint is. The middleware reads the table, and the app does not start while it
lacks a route.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

BODILESS = ("GET", "HEAD", "OPTIONS")
"""Methods whose requests change nothing and carry no body."""


class Cost(StrEnum):
    """Which of a client's allowances a request is taken from."""

    FREE = "free"
    PREDICTION = "predictions"
    """A picture is classified; an error response counts as a failed prediction."""
    EVENT = "events"
    """An event of the page: shares the allowance of predictions, and counts its own failures."""
    UPLOAD = "uploads"
    FEEDBACK = "feedback"

    @property
    def allowance(self) -> "Cost":
        """The one that the rate limiter knows."""
        return Cost.PREDICTION if self is Cost.EVENT else self


class Body(Enum):
    """What a request may carry."""

    NONE = auto()
    SMALL = auto()
    """JSON or a form without a picture."""
    FRAME = auto()
    """One frame of a camera."""
    PICTURE = auto()
    """A picture: raw, in a form, or as base64 in JSON."""
    PICTURE_FORM = auto()
    """A form with a picture; anything else is small."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the table says about one route."""

    cost: Cost = Cost.FREE
    body: Body = Body.NONE
    cors: bool = False
    """Whether pages of the origins in CATDOG_CORS_ORIGINS may call it."""


UNKNOWN = Entry(Cost.FREE, Body.SMALL)
"""For a path that no route has: it gets an error response."""

Entries = Mapping[tuple[str, str], Entry]
"""By method and path. A path that ends in `*` or has a `{parameter}` stands for all that begin like it."""


class Routes:
    """A router whose routes have entries in the table."""

    def __init__(self, *, prefix: str = "", include_in_schema: bool = True) -> None:
        self.router = APIRouter(prefix=prefix, include_in_schema=include_in_schema)
        self.entries: dict[tuple[str, str], Entry] = {}
        self._prefix = prefix

    def add(  # noqa: PLR0913 - what the table holds
        self,
        method: str,
        path: str,
        endpoint: Callable[..., Any],
        *,
        cost: Cost = Cost.FREE,
        body: Body | None = None,
        cors: bool = False,
        **options: Any,
    ) -> None:
        """Add a route.

        Args:
            method: Its HTTP method.
            path: Below the prefix.
            endpoint: Answers it.
            cost: What it costs its client.
            body: What it takes. A method that writes has to say.
            cors: Whether listed origins may call it.
            options: For FastAPI's `add_api_route`.
        """
        if body is None and method not in BODILESS:
            raise TypeError(f"{method} {self._prefix}{path} does not say how large a body it takes.")
        self.entries[method, self._prefix + path] = Entry(cost, body or Body.NONE, cors)
        self.router.add_api_route(path, endpoint, methods=[method], **options)


class RouteTable:
    """All entries; finding one takes a look-up and, below a prefix, a few comparisons."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, str], Entry] = {}
        self._below: list[tuple[str, str, Entry]] = []

    def include(self, entries: Entries) -> None:
        """Add the entries of some routes."""
        for (method, path), entry in entries.items():
            start, is_prefix = _prefix(path)
            if is_prefix:
                self._below.append((method, start, entry))
            else:
                self._exact[method, path.rstrip("/")] = entry

    def find(self, method: str, path: str) -> Entry:
        """The entry of the route that a request asks for; `UNKNOWN` where there is none."""
        method = "GET" if method == "HEAD" else method
        if entry := self._exact.get((method, path.rstrip("/"))):
            return entry
        below = (entry for known, start, entry in self._below if known == method and path.startswith(start))
        return next(below, UNKNOWN)

    def check(self, routes: Iterable[BaseRoute]) -> None:
        """Make sure that every route of an app has an entry.

        Raises:
            RuntimeError: one has none; the message names it.
        """
        for route in _flattened(routes):
            for method in route.methods or ():
                if method != "HEAD" and not self._has(method, route.path):
                    raise RuntimeError(f"{method} {route.path} is not in the route table. Add it with Routes.add.")

    def _has(self, method: str, path: str) -> bool:
        start, is_prefix = _prefix(path)
        if is_prefix:
            return any(known == method and start == each for known, each, _ in self._below)
        return (method, path.rstrip("/")) in self._exact


def _flattened(routes: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    """All of FastAPI's routes, those of included routers too."""
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        included = getattr(route, "original_router", None)
        if isinstance(included, APIRouter):
            yield from _flattened(included.routes)


def _prefix(path: str) -> tuple[str, bool]:
    """What all paths of a route begin with, and whether that is less than the whole."""
    end = min((at for at in (path.find("{"), path.find("*")) if at >= 0), default=-1)
    return (path, False) if end < 0 else (path[:end], True)

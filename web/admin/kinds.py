"""`/admin/kinds`: what the model is systematically wrong about, as contact sheets; see `feedback.review.kinds`."""

import heapq
import logging
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment

from catdog.cli import counted
from catdog.errors import CatdogError
from catdog.model.model import Model
from feedback.decision import ReviewedRow
from feedback.review.kinds import Answered, Kind, KindReport, find_kinds, look_at
from web.admin.routes import COOKIE, HEADERS
from web.admin.sessions import Sessions
from web.route_table import Routes

TEMPLATE = "kinds.html"
MOST_ROWS = 500
"""The newest ones: each passes the model five times."""
_SHOWN = 24
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of a sheet."""

    row_id: str
    said: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """One kind: its mistakes first."""

    name: str
    is_systematic: bool
    facts: str
    pictures: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class _Ready:
    sheets: tuple[Sheet, ...]
    key: Hashable
    problem: str = ""


class KindsPage:
    """The route; whoever is logged in to the review page sees it."""

    def __init__(  # noqa: PLR0913 - the parts come in from outside
        self,
        *,
        load: Callable[[], Iterable[ReviewedRow]],
        picture: Callable[[str], bytes | None],
        version: Callable[[], Hashable],
        model: Callable[[], Model],
        sessions: Sessions,
        templates: Environment,
    ) -> None:
        """Put the parts together.

        Args:
            load: Reads the newest row of each request, without its picture, and what was decided about it.
            picture: Reads the picture of a row.
            version: Gives something else once `load` may.
            model: The live one.
            sessions: Who is logged in.
            templates: Where the page's is.
        """
        self._load, self._picture, self._version, self._model = load, picture, version, model
        self._sessions, self._templates = sessions, templates
        self._ready: _Ready | None = None
        self._making = threading.Lock()

    def routes(self) -> Routes:
        """The routes."""
        routes = Routes(prefix="/admin", include_in_schema=False)
        routes.add("GET", "/kinds", self._show)
        return routes

    async def _show(self, request: Request) -> Response:
        base = f"{request.scope.get('root_path', '')}/admin"
        if self._sessions.find(request.cookies.get(COOKIE, "")) is None:
            return RedirectResponse(base, 303, headers=HEADERS)
        ready, is_current = await run_in_threadpool(self._state)
        html = self._templates.get_template(TEMPLATE).render(
            base=base,
            sheets=ready.sheets if ready else (),
            problem=ready.problem if ready else "",
            is_current=is_current,
            most=MOST_ROWS,
        )
        return HTMLResponse(html, headers=HEADERS)

    def _state(self) -> tuple[_Ready | None, bool]:
        """The last sheets, and whether they are of today's rows; if not, new ones are made meanwhile."""
        ready = self._ready
        is_current = ready is not None and ready.key == self._key()
        if not is_current and not self._making.locked():
            threading.Thread(target=self._make, name="kinds", daemon=True).start()
        return ready, is_current

    def _key(self) -> Hashable:
        try:
            return self._version(), self._model().revision
        except CatdogError as error:
            return str(error)

    def _make(self) -> None:
        with self._making:
            key = self._key()
            try:
                report = find_kinds(look_at(self._rows(), self._model()))
                self._ready = _Ready(tuple(_sheets(report)), key)
            except CatdogError as error:
                log.warning("The kinds of picture cannot be found: %s", error)
                self._ready = _Ready((), key, str(error))

    def _rows(self) -> Iterator[ReviewedRow]:
        """The newest ones with their pictures, oldest first; rows whose picture is gone are left out."""
        newest = heapq.nlargest(MOST_ROWS, self._load(), key=lambda each: each.row.id)
        for each in reversed(newest):
            image = self._picture(each.row.id)
            if image:
                yield replace(each, row=replace(each.row, image=image))


def _sheets(report: KindReport) -> Iterator[Sheet]:
    for kind in report.kinds:
        members = sorted(report.members[kind.name], key=lambda each: (not each.is_wrong, each.row_id))[:_SHOWN]
        yield Sheet(kind.name, kind.systematic, _facts(kind), tuple(_shown(members)))


def _shown(members: Sequence[Answered]) -> Iterator[Shown]:
    for each in members:
        said = f"{each.label}, predicted {each.predicted}" if each.is_labelled else f"predicted {each.predicted}"
        yield Shown(each.row_id, said)


def _facts(kind: Kind) -> str:
    facts = [f"{counted(kind.corrections, 'correction')} among {counted(kind.answers, 'answer')}"]
    if kind.error_rate is not None:
        facts.append(f"{kind.error_rate:.0%} wrong in the random sample ({kind.low:.0%} to {kind.high:.0%})")
    if kind.systematic:
        needed = counted(kind.more_needed, "more accepted correction")
        facts.append(f"{needed} needed before retraining can be judged" if kind.more_needed else "enough to retrain")
    return "; ".join(facts)

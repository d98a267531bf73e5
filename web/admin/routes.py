"""`/admin`: the maintainer's pages. Plain HTML behind a token, with a session in a cookie."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from catdog.errors import CatdogError, RateLimitedError, UnknownRowError
from feedback.decision import Decision
from feedback.review.review import Action, Choice, Review
from web.admin.sessions import LOGINS_PER_CLIENT, Session, Sessions, same_secret
from web.admin.view import SCRIPT, STYLE, AdminView, Query
from web.errors import STATUS, ErrorResponses
from web.middleware.public_url import IS_PUBLIC_URL_SET
from web.middleware.rate_limit import RateLimiter
from web.route_table import Body, Routes

log = logging.getLogger(__name__)

COOKIE = "catdog_admin"
_LOGINS = "logins"
_MAX_NAME = 80
_MAX_REASON = 300
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "[::1]"))
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")
_WRONG = "This is not the token, or the name is missing."
_NO_COOKIE = "You are not logged in: the browser did not keep the cookie. Open this page over https, in its own tab."
_OVER = "Your session is over. Reload the page and log in again; what was decided before is kept."
_FORGED = "This did not come from the review page, or the page is from an earlier login. Reload it and try again."

_MISSING = (
    "Rows and decisions that only the Hub has may be missing here. {} "
    "What you decide is kept on this server, and sent when the Hub answers again."
)


class AdminPages:
    """Login, the queue, its pictures, and the actions."""

    def __init__(  # noqa: PLR0913 - the parts come in from outside
        self,
        review: Review,
        *,
        token: str,
        view: AdminView,
        errors: ErrorResponses,
        client_of: Callable[[Request], str],
        missing: Callable[[], str | None] = lambda: None,
        problems: Callable[[], Iterable[str | None]] = tuple,
        sessions: Sessions | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            review: What there is to decide.
            token: Lets in whoever knows it.
            view: Renders the pages.
            errors: Words the errors for scripts.
            client_of: A request's client, by which logins are limited.
            missing: Why rows may have been missing when the queue was read last; None if none was.
            problems: What else a maintainer should know.
            sessions: Who is logged in.
        """
        self._review = review
        self._token = token
        self._view = view
        self._errors = errors
        self._client_of = client_of
        self._missing = missing
        self._problems = problems
        self._sessions = sessions or Sessions()
        self._limiter = RateLimiter({_LOGINS: LOGINS_PER_CLIENT})

    def routes(self) -> Routes:
        """The routes."""
        routes = Routes(prefix="/admin", include_in_schema=False)
        routes.add("GET", "", self._show)
        routes.add("POST", "/login", self._log_in, body=Body.SMALL)
        routes.add("POST", "/logout", self._log_out, body=Body.SMALL)
        routes.add("POST", "/decide", self._decide, body=Body.SMALL)
        routes.add("GET", "/picture/{row_id}", self._picture)
        routes.add("GET", "/style.css", _file(STYLE, "text/css"))
        routes.add("GET", "/script.js", _file(SCRIPT, "text/javascript"))
        return routes

    def _show(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return self._login_page(request, _NO_COOKIE if "entered" in request.query_params else "")
        return self._queue_page(request, session, Query.of(request.query_params))

    async def _log_in(self, request: Request) -> Response:
        try:
            self._limiter.check(_LOGINS, self._client_of(request))
        except RateLimitedError as error:
            answer = self._login_page(request, str(error), HTTPStatus.TOO_MANY_REQUESTS)
            answer.headers["Retry-After"] = str(math.ceil(error.retry_after_s))
            return answer
        form = await _form(request)
        name = " ".join(form.get("name", "").split())[:_MAX_NAME]
        if not same_secret(form.get("token", ""), self._token) or not name:
            log.warning("A login to the review page failed.")
            return self._login_page(request, _WRONG, HTTPStatus.FORBIDDEN)
        entered = _redirect(f"{_base(request)}?entered=1")
        entered.set_cookie(
            COOKIE,
            self._sessions.start(name),
            max_age=int(self._sessions.lifetime_s),
            path=_base(request),
            secure=not _is_plain(request),
            httponly=True,
            samesite="strict",
        )
        return entered

    async def _log_out(self, request: Request) -> Response:
        session = self._session(request)
        if session and not same_secret((await _form(request)).get("csrf", ""), session.csrf):
            return self._refuse(request, "forbidden", _FORGED)
        self._sessions.end(request.cookies.get(COOKIE, ""))
        answer = _redirect(_base(request))
        answer.delete_cookie(COOKIE, path=_base(request))
        return answer

    async def _decide(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return self._refuse(request, "unauthorized", _OVER)
        form = await _form(request)
        if not same_secret(form.get("csrf", ""), session.csrf):
            return self._refuse(request, "forbidden", _FORGED)
        selected = [str(row_id) for row_id in (await request.form()).getlist("id")]
        return await run_in_threadpool(self._record, request, session, form, selected)

    def _record(self, request: Request, session: Session, form: Mapping[str, str], selected: list[str]) -> Response:
        """Record what was decided and answer: a script with the decisions, a browser without one with the page."""
        reason = form.get("reason", "").strip()[:_MAX_REASON]
        try:
            decisions = self._review.decide(_choices(form.get("do", ""), selected), by=session.name, reason=reason)
        except CatdogError as error:
            if _is_script(request):
                raise
            status = STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
            return self._queue_page(request, session, Query.of(form), str(error), status)
        if _is_script(request):
            return JSONResponse({"decisions": [_as_json(each) for each in decisions]}, headers=HEADERS)
        return _redirect(_base(request) + Query.of(form).address())

    def _picture(self, request: Request, row_id: str) -> Response:
        if self._session(request) is None:
            return self._refuse(request, "unauthorized", _OVER)
        return Response(self._review.picture(row_id), media_type="image/jpeg", headers=HEADERS)

    def _session(self, request: Request) -> Session | None:
        return self._sessions.find(request.cookies.get(COOKIE, ""))

    def _refuse(self, request: Request, code: str, detail: str) -> Response:
        if _is_script(request):
            return self._errors.response(request.scope, code, detail)
        return self._login_page(request, detail, STATUS[code])

    def _login_page(self, request: Request, problem: str, status: int = HTTPStatus.OK) -> Response:
        self._review.prepare(first=True)  # whoever looks at this page wants the queue next
        return HTMLResponse(self._view.login(base=_base(request), problem=problem), status, headers=HEADERS)

    def _queue_page(
        self, request: Request, session: Session, query: Query, problem: str = "", status: int = HTTPStatus.OK
    ) -> Response:
        entries = self._review.queue(at_once=True)
        missing = _MISSING.format(reason) if (reason := self._missing()) else ""
        notice = " ".join(filter(None, (*self._problems(), missing)))
        page = self._view.queue(entries, query, session=session, base=_base(request), problem=problem, notice=notice)
        return HTMLResponse(page, status, headers=HEADERS)


def _choices(do: str, selected: list[str]) -> list[Choice]:
    """What a button says: `ACTION` about the selected rows, or `ACTION:ID`, or `accept:ID:LABEL`.

    Raises:
        UnknownRowError: it names no row and no action.
    """
    action, _, named = do.partition(":")
    row_id, _, label = named.partition(":")
    if action not in tuple(Action) or not (row_id or selected):
        raise UnknownRowError("No row was selected, so nothing was decided. Select rows by the box on their photo.")
    return [Choice(each, Action(action), label or None) for each in ([row_id] if row_id else selected)]


def _as_json(decision: Decision) -> dict[str, str | None]:
    return {
        "row_id": decision.row_id,
        "status": decision.status.value,
        "corrected_label": decision.corrected_label,
        "reason": decision.reason,
        "by": decision.by,
        "at": decision.at.isoformat(),
    }


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; of files that somebody may send in their place, none."""
    return {name: value for name, value in (await request.form(max_files=0)).items() if isinstance(value, str)}


def _file(path: Path, kind: str) -> Callable[[], Response]:
    text = path.read_text(encoding="utf-8")

    def file() -> Response:
        return Response(text, media_type=kind, headers={**HEADERS, "Cache-Control": "no-cache"})

    return file


def _redirect(address: str) -> RedirectResponse:
    return RedirectResponse(address, HTTPStatus.SEE_OTHER, headers=HEADERS)


def _base(request: Request) -> str:
    return f"{request.scope.get('root_path', '')}/admin"


def _is_script(request: Request) -> bool:
    return request.headers.get("Accept") == "application/json"


def _is_plain(request: Request) -> bool:
    """Whether the browser uses no https, on this machine or by CATDOG_PUBLIC_URL: it would not keep a secure cookie.

    A proxy on this machine may look like that too, unless it names the client that it forwards for.
    """
    if request.scope.get(IS_PUBLIC_URL_SET):
        return bool(request.scope["scheme"] == "http")
    host = request.headers.get("Host", "")
    is_loopback = host in _LOOPBACK or host.rpartition(":")[0] in _LOOPBACK
    return request.scope["scheme"] == "http" and is_loopback and not any(name in request.headers for name in _FORWARDED)

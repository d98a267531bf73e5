"""`/admin/dashboard`: how the service does, as plots that the server draws."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment
from markupsafe import Markup

from catdog.model.drift import LEAST, DriftMonitor
from catdog.model.metadata import NEITHER, UNSURE
from feedback.journal.journal import Journal
from feedback.stats import Stats
from web.admin.plots import lying, stacked
from web.admin.routes import COOKIE, HEADERS
from web.admin.sessions import Sessions
from web.i18n import format_share
from web.metrics.history import LATENCY_EDGES_MS, History, Step
from web.metrics.metrics import Metrics
from web.route_table import Routes
from web.service.service import Service

TEMPLATE = "dashboard.html"
_FAILED = "no answer"


class Dashboard:
    """The route; whoever is logged in to the review page sees it."""

    def __init__(
        self, service: Service, metrics: Metrics, journal: Journal, *, sessions: Sessions, templates: Environment
    ) -> None:
        self._service = service
        self._metrics = metrics
        self._journal = journal
        self._sessions = sessions
        self._templates = templates

    def routes(self) -> Routes:
        """The routes."""
        routes = Routes(prefix="/admin", include_in_schema=False)
        routes.add("GET", "/dashboard", self._show)
        return routes

    async def _show(self, request: Request) -> Response:
        base = f"{request.scope.get('root_path', '')}/admin"
        if self._sessions.find(request.cookies.get(COOKIE, "")) is None:
            return RedirectResponse(base, 303, headers=HEADERS)
        stats = await run_in_threadpool(self._journal.stats)
        pending = await self._service.pending()
        facts = self._facts(stats, pending.rows)
        plots = plots_of(self._metrics.history, stats)
        html = self._templates.get_template(TEMPLATE).render(base=base, facts=facts, plots=plots)
        return HTMLResponse(html, headers=HEADERS)

    def _facts(self, stats: Stats, pending: int) -> dict[str, str]:
        """Single numbers, in words."""
        model, summary, sync = self._service.live.model, self._metrics.summary(), self._service.sync_state()
        agreement = f"in {stats.confirmations} of {stats.requests} answers" if stats.requests else "nobody answered yet"
        return {
            "Model": f"{model.model_id}, revision {model.revision[:18]}",
            "Requests since the start": f"{summary.total_requests}, of which {summary.failed_requests} without answer",
            "Average latency": f"{summary.average_latency_ms:.1f} ms" if summary.average_latency_ms else "none yet",
            "People agree with the model": agreement,
            "Corrections this model learned from": str(model.corrections_learned),
            "Rows that only this machine has": str(pending),
            "Sync": _sync_words(sync),
            **drift(self._metrics.history.steps(), model.metadata.metrics.get("test", {})),
            "Drift in": drift_words(self._service.drift),
        }


def plots_of(history: History, stats: Stats) -> list[Markup]:
    """The plots, in the order of the page."""
    steps = history.steps()
    verdicts = sorted({verdict for step in steps for verdict in step.verdicts})
    columns = [{**step.verdicts, _FAILED: step.failures} for step in steps]
    ends = (steps[0].begins.strftime("%d %b %H:%M UTC"), "now")
    said = {f"{each.predicted_label} → {each.corrected_label}": 0.0 for each in stats.answers}
    for each in stats.answers:
        said[f"{each.predicted_label} → {each.corrected_label}"] += each.requests
    edges = [f"up to {edge} ms" for edge in LATENCY_EDGES_MS] + [f"more than {LATENCY_EDGES_MS[-1]} ms"]
    return [
        stacked(columns, [*verdicts, _FAILED], title="Requests by answer, each ten minutes of the last day", ends=ends),
        lying(dict(zip(edges, history.latencies(), strict=True)), title="Latency of answers since the start"),
        lying(said, title="What people said: the model's answer → theirs"),
    ]


def drift(steps: list[Step], test: Mapping[str, Any]) -> dict[str, str]:
    """How often the model dares an answer today, beside the same on its test pictures: far less is a sign of drift."""
    total = sum(step.verdicts.total() for step in steps)
    if not total:
        return {"Answered, today": "no requests within a day"}
    withheld = sum(step.verdicts[NEITHER] + step.verdicts[UNSURE] for step in steps)
    expected = test.get("verdicts", {}).get("answered")
    beside = f" (test pictures: {format_share(expected)})" if expected is not None else ""
    return {"Answered, today": f"{format_share(1 - withheld / total)} of {total} pictures{beside}"}


def drift_words(monitor: DriftMonitor | None) -> str:
    """In which properties the last pictures differ from the reference by more than chance; see `catdog.model.drift`."""
    if monitor is None or not monitor.has_reference:
        return "not known: the model has no drift reference"
    scores = monitor.scores()
    if not scores:
        return f"not known yet: {monitor.pictures} of {LEAST} different pictures"
    drifted = sorted((each for each in scores if each.is_drift), key=lambda each: -each.score)
    named = ", ".join(f"{each.name} ({each.score:.2f}, chance {each.threshold:.2f})" for each in drifted)
    return f"{named or 'nothing'}, over the last {monitor.pictures} pictures"


def _sync_words(sync: Any) -> str:
    if sync is None:
        return "off: corrections stay on this machine"
    if sync.problem:
        return f"failing since {sync.failures} attempts: {sync.problem}"
    return f"all sent to {sync.repo_id} at {sync.last_success:%d %b %H:%M UTC}" if sync.last_success else "not yet"

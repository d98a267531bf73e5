"""From settings, model and journal to the web application."""

import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse

from catdog import __version__
from catdog.hub.models import LoadedModel
from catdog.hub.watch import ModelWatcher
from catdog.settings import Settings
from feedback.hub.delivery import Delivery, create_delivery
from feedback.hub.rows import create_collection
from feedback.journal.journal import Journal
from feedback.keys import ClientKeys
from feedback.review.review import Review
from web.admin.dashboard import Dashboard
from web.admin.routes import AdminPages
from web.admin.sessions import Sessions
from web.admin.view import AdminView
from web.api.docs import docs_page
from web.api.routes import RestApi
from web.errors import Problems
from web.gradio_guard.lazy import LatePage
from web.i18n import ENGLISH
from web.metrics.metrics import Metrics
from web.middleware.body_limit import BodyLimit
from web.middleware.cors import FeedbackCors, is_correction_from
from web.middleware.csrf import SameSite
from web.middleware.rate_limit import FEEDBACK, PREDICTIONS, UPLOADS, RateLimiter, RateLimits, client_of
from web.middleware.security_headers import SecurityHeaders
from web.page.examples import Examples
from web.page.html import Retention
from web.page.routes import PageApi
from web.page.uploads import UploadFolder, Uploads
from web.service.fetch import ImageFetcher
from web.service.predictions import Recent
from web.service.sample import AuditSample
from web.service.service import Service
from web.service.workers import Places, Workers

if TYPE_CHECKING:
    import gradio as gr

log = logging.getLogger(__name__)

_DESCRIPTION = (
    "Classifies photos, and keeps what people say about its answers. "
    "Errors come as `error` (a code), `detail` (a sentence) and `request_id`."
)
_TEST_MODE = "Test mode: pictures are fetched from private addresses, too. Never run a public server like this."
_FEEDBACK_IS_LOST = (
    "Corrections are lost when this Space restarts. Set CATDOG_FEEDBACK_REPO, or mount a volume as the data folder."
)
_WAITING_PICTURES = 64
_FETCHES_AT_ONCE = 16
_DISK_THREADS = 16
_WAITING_ANSWERS = 256
_HUB_LOOKED_AT_S = 60.0
"""How often the review page asks the Hub for rows of other machines."""


def create_app(settings: Settings, loaded: LoadedModel, journal: Journal) -> FastAPI:
    """Build the application. When it stops it closes the journal and deletes what visitors uploaded.

    Raises:
        SettingsError: a rate limit cannot be understood.
    """
    metrics = Metrics()
    problems = Problems(metrics)
    limiter = RateLimiter(
        {PREDICTIONS: settings.rate_limit, UPLOADS: settings.rate_limit, FEEDBACK: settings.feedback_limit}
    )
    delivery = create_delivery(journal, settings)
    service = create_service(settings, loaded, journal, metrics, delivery=delivery)
    watcher = ModelWatcher(settings, loaded, service.swap, every_s=settings.reload_seconds)
    warnings = _warnings(settings)
    for warning in warnings:
        log.warning("WARNING: %s", warning)
    cleanup = ExitStack()
    cleanup.callback(journal.close)
    cleanup.callback(delivery.stop)
    cleanup.callback(watcher.stop)
    folder = UploadFolder()
    cleanup.callback(folder.stop)

    page = LatePage(lambda: build_page())  # noqa: PLW0108 - defined below

    def client(request: "Request | gr.Request") -> str:
        origin = request if isinstance(request, Request) else request.request
        assert origin is not None  # only Gradio's own tests call events without a request
        return client_of(origin.scope, trusted_proxies=settings.trusted_proxies)

    app = FastAPI(
        title=ENGLISH.title(loaded.model.labels),
        description=_DESCRIPTION,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=_running([delivery.start, watcher.start, folder.start], cleanup, page),
    )
    _add_middleware(app, settings, limiter=limiter, problems=problems)
    problems.install(app)

    def health_warnings() -> list[str]:
        return [*warnings, *([watcher.problem] if watcher.problem else [])]

    router = RestApi(service, metrics, client_of=client, warnings=health_warnings).router()
    router.get("/docs", include_in_schema=False)(_docs(app))
    examples = Examples()
    routers = [router, PageApi(service, examples).router()]
    if settings.admin_token.get_secret_value():
        view, sessions = AdminView(ENGLISH.title(loaded.model.labels)), Sessions()
        review_pages = _review_pages(settings, journal, view, sessions, problems=problems, client_of=client)
        dashboard = Dashboard(service, metrics, journal, sessions=sessions, templates=view.templates)
        routers += [review_pages.router(), dashboard.router()]
    routes = list(app.routes)
    for each in routers:
        app.include_router(each)
        routes += each.routes
    uploads = Uploads(folder.path, max_bytes=settings.max_bytes)

    def build_page() -> FastAPI:
        from web.gradio_guard.mount import mount_page  # noqa: PLC0415 - these import Gradio, which takes seconds
        from web.page.events import PageParts  # noqa: PLC0415

        page_app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        page_app.add_middleware(CORSMiddleware, allow_origins=[])
        problems.install(page_app)
        parts = PageParts(
            service=service,
            metrics=metrics,
            limiter=limiter,
            client_of=client,
            uploads=uploads,
            warnings=warnings,
            examples=examples,
            retention=Retention(
                hub_days=settings.retain_days if settings.feedback_repo else None, audits=service.audits
            ),
            mcp=settings.mcp,
        )
        mount_page(page_app, parts, routes=routes, problems=problems, max_bytes=settings.max_bytes)
        return page_app

    app.mount("/", page)  # the last one: routes that are added afterwards are not reached
    return app


def _review_pages(  # noqa: PLR0913 - the parts come in from outside
    settings: Settings,
    journal: Journal,
    view: AdminView,
    sessions: Sessions,
    *,
    problems: Problems,
    client_of: Callable[[Request], str],
) -> AdminPages:
    """Where the maintainer looks at corrections, the rows of other machines included."""
    collection = create_collection(journal, settings, max_age_s=_HUB_LOOKED_AT_S, alone=True)
    return AdminPages(
        Review(journal, load=partial(collection.reviewed, pictures=False), picture=collection.picture),
        token=settings.admin_token.get_secret_value(),
        view=view,
        problems=problems,
        client_of=client_of,
        missing=lambda: collection.problem,
        sessions=sessions,
    )


def _add_middleware(app: FastAPI, settings: Settings, *, limiter: RateLimiter, problems: Problems) -> None:
    origins, proxies = settings.allowed_origins, settings.trusted_proxies
    # The last one added is the first to see a request. With CORSMiddleware here, Gradio adds no rule of its own,
    # which would let every website read the answers.
    app.add_middleware(BodyLimit, max_bytes=settings.max_bytes, problems=problems, trusted_proxies=proxies)
    app.add_middleware(RateLimits, limiter=limiter, problems=problems, trusted_proxies=proxies)
    app.add_middleware(SameSite, problems=problems, is_welcome=partial(is_correction_from, origins=origins))
    app.add_middleware(CORSMiddleware, allow_origins=[])
    app.add_middleware(FeedbackCors, origins=origins)
    app.add_middleware(SecurityHeaders, is_space=bool(settings.space_id))


def create_service(
    settings: Settings,
    loaded: LoadedModel | None,
    journal: Journal,
    metrics: Metrics,
    *,
    delivery: Delivery | None = None,
) -> Service:
    """Put the service together."""
    keys = ClientKeys(settings.data_dir, settings.secret.get_secret_value() if settings.secret else None)
    keys.destroy_expired(datetime.now(UTC))
    return Service(
        loaded,
        journal=journal,
        delivery=delivery or Delivery(journal),
        recent=Recent(),
        metrics=metrics,
        fetcher=create_fetcher(settings),
        fetches=Places(_FETCHES_AT_ONCE, max_waiting=_WAITING_PICTURES),
        limits=settings.image_limits,
        answers_per_day=settings.feedback_per_day,
        audit=AuditSample(settings.audit_share),
        hash_client=lambda address: keys.client_hash(address, now=datetime.now(UTC)),
        pictures=Workers(threads=os.cpu_count() or 1, max_waiting=_WAITING_PICTURES),
        disk=Workers(threads=_DISK_THREADS, max_waiting=_WAITING_ANSWERS),
    )


def create_fetcher(settings: Settings) -> ImageFetcher:
    """What gets images by URL; in the tests' mode it goes anywhere."""
    if settings.test_allow_private_urls:
        return ImageFetcher(max_bytes=settings.max_bytes, is_allowed=lambda _: True, any_port=True)
    return ImageFetcher(max_bytes=settings.max_bytes, about_us=settings.about_us)


def _warnings(settings: Settings) -> tuple[str, ...]:
    """What neither visitor nor maintainer may overlook, for the page and `/health`."""
    test_mode = (_TEST_MODE,) if settings.test_allow_private_urls else ()
    lost = (_FEEDBACK_IS_LOST,) if settings.loses_feedback else ()
    return (*test_mode, *lost)


def _running(
    starts: Sequence[Callable[[], None]], cleanup: ExitStack, page: LatePage
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with page.running():
            with cleanup:  # ends first: feedback is not to wait for a page that is still being built
                for start in starts:
                    start()
                yield

    return lifespan


def _docs(app: FastAPI) -> Callable[[Request], HTMLResponse]:
    def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi(), base=str(request.base_url).rstrip("/")))

    return docs

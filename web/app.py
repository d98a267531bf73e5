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
from web import gradio_guard
from web.admin.dashboard import Dashboard
from web.admin.kinds import KindsPage
from web.admin.routes import AdminPages
from web.admin.sessions import AdminToken, Sessions
from web.admin.view import AdminView
from web.api.docs import docs_page
from web.api.openapi import add_schemas
from web.api.routes import RestApi
from web.errors import ErrorResponses
from web.gradio_guard.lazy import LazyPage
from web.i18n import ENGLISH
from web.metrics.metrics import Metrics
from web.middleware import middleware
from web.middleware.clients import client_of
from web.middleware.rate_limit import RateLimiter
from web.page.examples import Examples
from web.page.html import Retention
from web.page.routes import PageApi
from web.page.uploads import UploadFolder, Uploads
from web.route_table import Cost, Routes, RouteTable
from web.service.fair_queue import FairQueue, FairWorkers
from web.service.fetch import ImageFetcher
from web.service.lanes import PictureLanes
from web.service.predictions import RecentPredictions
from web.service.sample import RandomSample
from web.service.service import Service
from web.service.shadow import Shadow

if TYPE_CHECKING:
    import gradio as gr

log = logging.getLogger(__name__)

_DESCRIPTION = (
    "Classifies photos and collects corrections. "
    "Errors have the fields `error` (a code), `detail` (a sentence) and `request_id`."
)
_TEST_MODE = "Test mode: pictures are fetched from private addresses, too. Never run a public server like this."
_FEEDBACK_IS_LOST = (
    "Corrections are lost when this Space restarts. Set CATDOG_FEEDBACK_REPO, or mount a volume as the data folder."
)
_NOT_NEWEST = (
    "The newest model on the Hub could not be used; an earlier one answers. "
    "The log says why, and so does /health to a maintainer."
)
_WAITING_PICTURES = 64
_FETCHES_AT_ONCE = 16
_FETCHES_OF_A_CLIENT = 4
_DISK_THREADS = 16
_WAITING_CORRECTIONS = 256
_HUB_READ_EVERY_S = 60.0
"""How often the review page asks the Hub for rows of other machines."""

ClientOf = Callable[["Request | gr.Request"], str]


def create_app(settings: Settings, loaded: LoadedModel, journal: Journal) -> FastAPI:
    """Build the application. When it stops it closes the journal and deletes what visitors uploaded.

    Raises:
        SettingsError: a rate limit is not valid.
    """
    metrics, table = Metrics(), RouteTable()
    errors = ErrorResponses(metrics, table)
    limiter = create_limiter(settings)
    delivery = create_delivery(journal, settings)
    shadow = Shadow.of(settings, metrics, live=lambda: service.live.model)
    service = create_service(settings, loaded, journal, metrics, delivery=delivery, shadow=shadow)
    watcher = ModelWatcher(settings, loaded, service.swap, every_s=settings.reload_seconds)
    warnings = _warnings(settings)
    for warning in warnings:
        log.warning("WARNING: %s", warning)
    folder = UploadFolder()
    page = LazyPage(lambda: build_page())  # noqa: PLW0108 - defined below
    shadows = [shadow] if shadow else []
    stops = [journal.close, folder.stop, *(each.stop for each in shadows), watcher.stop, delivery.stop]
    cleanup = _cleanup(*stops)  # feedback goes out first
    client = _client_of(settings)
    app = FastAPI(
        title=ENGLISH.title(loaded.model.labels),
        description=_DESCRIPTION,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=_running(
            [service.prepare, delivery.start, watcher.start, folder.start, *(each.start for each in shadows)],
            cleanup,
            page,
        ),
        middleware=middleware(settings, limiter=limiter, errors=errors, table=table),
    )
    errors.install(app)
    add_schemas(app, settings)

    def health_warnings(tells_all: bool) -> list[str]:
        newest = [watcher.problem if tells_all else _NOT_NEWEST] if watcher.problem else []
        return [*warnings, *newest, *(each.problem for each in shadows if each.problem and tells_all)]

    examples = Examples()
    routes = list(app.routes)
    for each in (
        RestApi(
            service,
            metrics,
            client_of=client,
            warnings=health_warnings,
            admin_token=AdminToken(settings.admin_token.get_secret_value()),
            trusted_proxies=settings.trusted_proxies,
        ).routes(),
        _docs(app),
        PageApi(service, examples, client_of=client).routes(),
        *_maintainer(settings, service, metrics, journal, errors=errors, client_of=client),
    ):
        table.include(each.entries)
        app.include_router(each.router)
        routes += each.router.routes
    uploads = Uploads(folder.path, max_bytes=settings.max_bytes, most_bytes=folder.max_bytes)

    def build_page() -> FastAPI:
        # The only way to set Gradio's folder; it makes one when it is imported, and reads this again for each file.
        os.environ["GRADIO_TEMP_DIR"] = str(uploads.folder)
        from web.gradio_guard.mount import mount_page  # noqa: PLC0415 - these import Gradio, which takes seconds
        from web.page.events import PageParts  # noqa: PLC0415

        page_app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        # Without a CORSMiddleware here Gradio would add a rule of its own that lets every website read responses.
        page_app.add_middleware(CORSMiddleware, allow_origins=[])
        errors.install(page_app)
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
        mount_page(page_app, parts, routes=routes, errors=errors, max_bytes=settings.max_bytes)
        return page_app

    table.include(gradio_guard.ENTRIES)
    table.check(app.routes)
    app.mount("/", page)  # the last one: routes added afterwards are not reached
    return app


def create_limiter(settings: Settings) -> RateLimiter:
    """The rate limits of clients.

    Raises:
        SettingsError: one is not valid.
    """
    predictions, corrections = settings.rate_limit, settings.feedback_limit
    return RateLimiter({Cost.PREDICTION: predictions, Cost.UPLOAD: predictions, Cost.FEEDBACK: corrections})


def _client_of(settings: Settings) -> ClientOf:
    """How to tell the client behind a request, of FastAPI or of Gradio."""

    def client(request: "Request | gr.Request") -> str:
        origin = request if isinstance(request, Request) else request.request
        assert origin is not None  # only Gradio's own tests call events without a request
        return client_of(origin.scope, trusted_proxies=settings.trusted_proxies)

    return client


def _maintainer(  # noqa: PLR0913 - the parts come in from outside
    settings: Settings,
    service: Service,
    metrics: Metrics,
    journal: Journal,
    *,
    errors: ErrorResponses,
    client_of: Callable[[Request], str],
) -> list[Routes]:
    """The review page and the dashboard, where a token is set; rows of other machines are included."""
    token = settings.admin_token.get_secret_value()
    if not token:
        return []
    view, sessions = AdminView(ENGLISH.title(service.live.model.labels)), Sessions()
    collection = create_collection(journal, settings, max_age_s=_HUB_READ_EVERY_S, alone=True)
    pages = AdminPages(
        Review(
            journal,
            load=partial(collection.reviewed, pictures=False),
            picture=collection.picture,
            version=collection.version,
        ),
        token=token,
        view=view,
        errors=errors,
        client_of=client_of,
        missing=lambda: collection.problem,
        problems=lambda: (journal.problem, collection.left_out),
        sessions=sessions,
    )
    dashboard = Dashboard(service, metrics, journal, sessions=sessions, templates=view.templates)
    kinds = KindsPage(
        load=partial(collection.reviewed, pictures=False),
        picture=collection.picture,
        version=collection.version,
        model=lambda: service.live.model,
        sessions=sessions,
        templates=view.templates,
    )
    return [pages.routes(), dashboard.routes(), kinds.routes()]


def create_service(  # noqa: PLR0913 - the parts come in from outside
    settings: Settings,
    loaded: LoadedModel | None,
    journal: Journal,
    metrics: Metrics,
    *,
    delivery: Delivery | None = None,
    shadow: Shadow | None = None,
) -> Service:
    """Put the service together."""
    keys = ClientKeys(settings.data_dir, settings.secret.get_secret_value() if settings.secret else None)
    keys.destroy_expired(datetime.now(UTC))
    return Service(
        loaded,
        journal=journal,
        delivery=delivery or Delivery(journal),
        recent=RecentPredictions(),
        metrics=metrics,
        fetcher=create_fetcher(settings),
        fetches=FairQueue(
            _FETCHES_AT_ONCE,
            max_waiting=_WAITING_PICTURES,
            places_if_dear=_FETCHES_OF_A_CLIENT,
            most_of_a_client=_FETCHES_OF_A_CLIENT,
        ),
        corrections_per_day=settings.feedback_per_day,
        sample=RandomSample(settings.audit_share),
        hash_client=lambda address: keys.client_hash(address, now=datetime.now(UTC)),
        pictures=PictureLanes(
            settings.image_limits,
            threads=os.cpu_count() or 1,
            max_waiting=_WAITING_PICTURES,
            took=metrics.took,
        ),
        disk=FairWorkers(threads=_DISK_THREADS, max_waiting=_WAITING_CORRECTIONS),
        shadow=shadow,
    )


def create_fetcher(settings: Settings) -> ImageFetcher:
    """The fetcher of images by URL; in test mode it goes anywhere."""
    if settings.test_allow_private_urls:
        return ImageFetcher(max_bytes=settings.max_bytes, is_allowed=lambda _: True, any_port=True)
    return ImageFetcher(max_bytes=settings.max_bytes, about_us=settings.about_us)


def _warnings(settings: Settings) -> tuple[str, ...]:
    """Warnings for visitors and maintainers, on the page and in `/health`."""
    test_mode = (_TEST_MODE,) if settings.test_allow_private_urls else ()
    lost = (_FEEDBACK_IS_LOST,) if settings.loses_feedback else ()
    return (*test_mode, *lost)


def _cleanup(*stops: Callable[[], None]) -> ExitStack:
    """What to stop, the last one first."""
    cleanup = ExitStack()
    for stop in stops:
        cleanup.callback(stop)
    return cleanup


def _running(
    starts: Sequence[Callable[[], None]], cleanup: ExitStack, page: LazyPage
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with page.running():
            with cleanup:  # ends first: feedback must not wait for a page that is still being built
                for start in starts:
                    start()
                yield

    return lifespan


def _docs(app: FastAPI) -> Routes:
    def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi(), base=str(request.base_url).rstrip("/")))

    routes = Routes(include_in_schema=False)
    routes.add("GET", "/docs", docs)
    return routes

"""The REST API: thin, typed routes over the service."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import Path, Query, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from catdog import __version__
from catdog.errors import UnknownRequestError
from feedback.hub.sync import SyncState
from feedback.row import RowStatus, Source
from web.admin.sessions import AdminToken
from web.api.body import Form, Reader, decoded, is_raw, parsed_form, parsed_json, spooled_body, validated
from web.api.openapi import FEEDBACK, FEEDBACK_STATUS, HEALTH, HF, METRICS, PREDICT, TAKE_BACK
from web.api.schemas import (
    FeedbackAnswer,
    FeedbackRequest,
    FeedbackStatus,
    HealthAnswer,
    HfRequest,
    HfResponse,
    MetricsAnswer,
    PendingFeedback,
    PictureFeedbackRequest,
    PredictionAnswer,
    PredictRequest,
    ReceiptRequest,
)
from web.metrics.metrics import PROMETHEUS_TEXT, Metrics
from web.middleware.body_limit import is_form, is_json
from web.middleware.clients import missing_hops
from web.route_table import Body, Cost, Routes
from web.service.lanes import whole
from web.service.service import Answer, Correction, Service

Result = TypeVar("Result")

_INVALID = 422
_NOT_SENT = (
    "The last attempt to send corrections to the Hub failed. The log says why, and so does /health to a maintainer."
)
_NO_PICTURE = (
    "send the picture as the form field `file`, for example with `curl -F file=@photo.jpg`, "
    "or as the body with `Content-Type: image/jpeg`"
)


class RestApi:
    """The routes, each a few lines over the service."""

    def __init__(  # noqa: PLR0913 - the parts come in from outside
        self,
        service: Service,
        metrics: Metrics,
        *,
        client_of: Callable[[Request], str],
        warnings: Callable[[bool], list[str]],
        admin_token: AdminToken | None = None,
        trusted_proxies: int = 0,
    ) -> None:
        """Make the routes.

        Args:
            service: Does the work.
            metrics: What `GET /metrics` shows.
            client_of: The address of the client behind a request.
            warnings: What a maintainer should know, for `GET /health`; in words without names for strangers, if false.
            admin_token: Whoever sends it is a maintainer.
            trusted_proxies: How many should have named their client in a request that comes from a page.
        """
        self._service = service
        self._metrics = metrics
        self._client_of = client_of
        self._warnings = warnings
        self._admin_token = admin_token or AdminToken("")
        self._trusted_proxies = trusted_proxies

    def routes(self) -> Routes:
        """All routes, to be included in an app."""
        routes = Routes()
        routes.add("POST", "/predict", self.predict, cost=Cost.PREDICTION, body=Body.PICTURE, cors=True, **PREDICT)
        routes.add("POST", "/hf", self.hf, cost=Cost.PREDICTION, body=Body.PICTURE, **HF)
        routes.add(
            "POST", "/feedback", self.feedback, cost=Cost.FEEDBACK, body=Body.PICTURE_FORM, cors=True, **FEEDBACK
        )
        routes.add("GET", "/feedback/{row_id}", self.feedback_status, cors=True, **FEEDBACK_STATUS)
        routes.add("DELETE", "/feedback", self.take_back, cost=Cost.FEEDBACK, body=Body.SMALL, cors=True, **TAKE_BACK)
        routes.add("GET", "/health", self.health, **HEALTH)
        routes.add("GET", "/metrics", self.metrics, **METRICS)
        routes.add("HEAD", "/health", self.health, include_in_schema=False)  # some monitors and balancers want no body
        routes.add("HEAD", "/metrics", self.metrics, include_in_schema=False)
        return routes

    async def predict(
        self,
        request: Request,
        url: Annotated[str | None, Query(description="address of a picture, instead of a body")] = None,
        consent: Annotated[
            bool,
            Query(description="whether the picture may be kept, at random, to measure how often predictions are right"),
        ] = False,
    ) -> PredictionAnswer:
        """Send a picture as the form field `file`, as the body itself, or as JSON; or name its address in the query."""
        content_type = request.headers.get("Content-Type", "")
        if url is not None:
            return PredictionAnswer.of(await self._classify_url(request, url, consents=consent))
        if is_form(content_type):
            async with parsed_form(request, max_fields=1) as form:
                return PredictionAnswer.of(await self._classify(request, _picture(form), consents=consent))
        if is_json(content_type):
            async with parsed_json(request, PredictRequest) as sent:
                if sent.url is not None:
                    return PredictionAnswer.of(await self._classify_url(request, sent.url, consents=consent))
                image = sent.image or ""
                return PredictionAnswer.of(await self._classify(request, lambda: decoded(image), consents=consent))
        if not is_raw(content_type):
            raise HTTPException(_INVALID, _NO_PICTURE)
        async with spooled_body(request) as file:
            return PredictionAnswer.of(await self._classify(request, whole(file), consents=consent))

    async def hf(self, request: Request) -> HfResponse:
        """Speaks the contract of the Hub's Inference API for image classification.

        `huggingface_hub.InferenceClient(model="{base}/hf").image_classification("photo.jpg")` works.
        """
        if is_json(request.headers.get("Content-Type", "")):
            async with parsed_json(request, HfRequest) as sent:
                answer = await self._classify(request, lambda: decoded(sent.inputs))
                top_k = sent.parameters.top_k if sent.parameters else None
                return HfResponse.of(answer.prediction, top_k=top_k)
        async with spooled_body(request) as file:
            answer = await self._classify(request, whole(file))
            return HfResponse.of(answer.prediction, top_k=None)

    async def feedback(self, request: Request, response: Response) -> FeedbackAnswer:
        """Correct or confirm a recent prediction by its `request_id`; later on, send the picture again.

        Another label for the same prediction replaces the earlier one; repeating the same label changes nothing.
        """
        has_picture = is_form(request.headers.get("Content-Type", ""))
        correction = await (self._correct_picture(request) if has_picture else self._correct(request))
        response.status_code = _status(correction)
        return FeedbackAnswer.of(correction)

    async def feedback_status(
        self, row_id: Annotated[str, Path(max_length=64, description="from POST /feedback")]
    ) -> FeedbackStatus:
        """`received`: on its way, `saved`: safe, `failed`: send it again."""
        status = await self._service.feedback_status(row_id)
        if status is None:
            raise UnknownRequestError("There is no correction with this id.")
        return FeedbackStatus(id=row_id, status=status)

    async def take_back(self, sent: ReceiptRequest) -> None:
        """Delete picture and label. The receipt is the secret from the response of POST /feedback."""
        if not await self._service.take_back(sent.receipt):
            raise UnknownRequestError("There is no correction with this receipt.")

    async def health(self, request: Request) -> HealthAnswer:
        """503 until a model is live. With `Authorization: Bearer CATDOG_ADMIN_TOKEN` it also tells names and causes."""
        live = self._service.live
        tells_all = self._admin_token.is_in(request.headers.get("Authorization", ""), self._client_of(request))
        return HealthAnswer(
            version=__version__,
            model_id=live.model.model_id,
            model_revision=live.model.revision,
            origin=live.origin,
            labels=live.model.labels,
            positive_label=live.model.metadata.positive_label,
            last_reload=self._service.live_since,
            feedback=await self._pending(tells_all=tells_all),
            warnings=[*self._warnings(tells_all), *self._proxy_warnings(request)],
        )

    def _proxy_warnings(self, request: Request) -> list[str]:
        """Only for what comes as from a page: monitors ask past the proxy."""
        found = missing_hops(request.scope, trusted_proxies=self._trusted_proxies)
        return [found] if found and "Origin" in request.headers else []

    async def metrics(self, request: Request) -> Response:
        """Predictions and corrections, of page and API alike."""
        if "application/json" in request.headers.get("Accept", ""):
            summary = MetricsAnswer(**asdict(self._metrics.summary()))
            return Response(summary.model_dump_json(), media_type="application/json")
        gauges = self._metrics.gauges
        gauges.feedback_is(await self._service.pending(), self._service.sync_state())
        gauges.journal_is(await self._service.stats())
        gauges.queues_are(self._service.loads())
        gauges.warnings_are(len(self._warnings(False)))
        return Response(self._metrics.prometheus(), media_type=PROMETHEUS_TEXT)

    async def _classify(self, request: Request, read: Reader, *, consents: bool = False) -> Answer:
        client = self._client_of(request)
        return await unless_disconnected(
            request, self._service.classify(read, Source.API, client=client, consents=consents)
        )

    async def _classify_url(self, request: Request, url: str, *, consents: bool) -> Answer:
        client = self._client_of(request)
        return await unless_disconnected(request, self._service.classify_url(url, client=client, consents=consents))

    async def _correct(self, request: Request) -> Correction:
        sent = validated(FeedbackRequest, await request.body())
        return await self._service.correct(sent.request_id, sent.label, client=self._client_of(request))

    async def _correct_picture(self, request: Request) -> Correction:
        async with parsed_form(request, max_fields=3) as form:
            picture = _picture(form)
            sent = validated(PictureFeedbackRequest, form.fields)
            return await self._service.correct_picture(
                picture,
                sent.label,
                source=sent.source,
                client=self._client_of(request),
                key=sent.idempotency_key,
            )

    async def _pending(self, *, tells_all: bool) -> PendingFeedback:
        pending = await self._service.pending()
        state = self._service.sync_state()
        return PendingFeedback(
            pending=pending.rows,
            oldest_age_s=pending.oldest_age_s(datetime.now(UTC)),
            damaged=pending.damaged,
            repo_id=state.repo_id if state and tells_all else None,
            last_success=state.last_success if state else None,
            failures=state.failures if state else 0,
            problem=self._service.save_problem() or _problem(state, tells_all=tells_all),
        )


def _problem(state: SyncState | None, *, tells_all: bool) -> str | None:
    """Why the last attempt to send corrections failed, if it did."""
    if state is None or state.problem is None:
        return None
    return state.problem if tells_all else _NOT_SENT


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Wait for `work`, and cancel it when the client disconnects, so that its place is free for the next.

    The request's body must have been read.

    Raises:
        ClientDisconnect: the client is gone.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_until_disconnect(request))
    leaving.add_done_callback(lambda _: working.cancel())
    try:
        return await working
    except asyncio.CancelledError:
        if leaving.done():  # else it is this request that was cancelled
            raise ClientDisconnect from None
        raise
    finally:
        leaving.cancel()


async def _until_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _status(correction: Correction) -> int:
    """Created, accepted and not yet safe, or already there."""
    if not correction.created:
        return 200
    return 202 if correction.status is RowStatus.RECEIVED else 201


def _picture(form: Form) -> Reader:
    if form.picture is None:
        raise HTTPException(_INVALID, _NO_PICTURE)
    return form.picture

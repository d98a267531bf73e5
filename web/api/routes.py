"""The REST API: thin, typed routes over the service."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from catdog import __version__
from catdog.errors import UnknownRequestError
from feedback.row import RowStatus, Source
from web.api.disconnect import unless_gone
from web.api.schemas import (
    FeedbackAnswer,
    FeedbackRequest,
    FeedbackStatus,
    HealthAnswer,
    MetricsAnswer,
    PendingFeedback,
    PictureFeedbackRequest,
    PredictionAnswer,
    ReceiptRequest,
)
from web.errors import Problem
from web.metrics.metrics import PROMETHEUS_TEXT, Metrics
from web.middleware.spooled import is_form, spooled_form
from web.service.service import Correction, Service

Told = TypeVar("Told", bound=BaseModel)

_INVALID = 422
_NO_PICTURE = "send the picture as the form field `file`, for example with `curl -F file=@photo.jpg`"


def _errors(**codes: str) -> dict[int | str, dict[str, Any]]:
    """Error answers for the OpenAPI document: from `_404="..."`, the codes that this status may carry."""
    return {int(status[1:]): {"model": Problem, "description": text} for status, text in codes.items()}


_PICTURE = {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, AVIF, GIF, BMP or HEIC"}
_CURL_JSON = "curl -H 'Content-Type: application/json' -d"
_PREDICT_FORM = {"type": "object", "properties": {"file": _PICTURE}}
_FEEDBACK_FORM = PictureFeedbackRequest.model_json_schema()
_FEEDBACK_FORM["properties"] = {"file": _PICTURE, **_FEEDBACK_FORM["properties"]}
_FEEDBACK_FORM["required"] = ["file", *_FEEDBACK_FORM["required"]]

_PREDICT: dict[str, Any] = {
    "summary": "Classify one picture",
    "response_description": "what the model says",
    "responses": _errors(
        _403="forbidden",
        _408="too_slow",
        _413="image_too_large, body_too_large",
        _422="unreadable_image, url_refused, url_not_image, url_failed, invalid_request",
        _429="rate_limited",
        _503="busy, no_model",
    ),
    "openapi_extra": {
        "requestBody": {"content": {"multipart/form-data": {"schema": _PREDICT_FORM}}},
        "x-curl": "curl -F file=@photo.jpg {base}/predict",
    },
}
_FEEDBACK: dict[str, Any] = {
    "summary": "Say what the picture shows",
    "response_description": "it is kept",
    "status_code": 201,
    "responses": {
        200: {"model": FeedbackAnswer, "description": "the same answer was there before"},
        202: {"model": FeedbackAnswer, "description": "received, but not yet where it is safe"},
        **_errors(
            _403="forbidden",
            _404="unknown_request",
            _408="too_slow",
            _413="image_too_large, body_too_large",
            _422="unknown_label, unreadable_image, invalid_request",
            _429="rate_limited",
            _503="busy, no_model, feedback_failed",
        ),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": FeedbackRequest.model_json_schema()},
                "multipart/form-data": {"schema": _FEEDBACK_FORM},
            },
        },
        "x-curl": _CURL_JSON + ' \'{"request_id": "...", "label": "..."}\' {base}/feedback',
    },
}
_FEEDBACK_STATUS: dict[str, Any] = {
    "summary": "Ask where a correction is",
    "response_description": "where it is",
    "responses": _errors(_404="unknown_request", _422="invalid_request", _503="busy, feedback_failed"),
    "openapi_extra": {"x-curl": "curl {base}/feedback/ID"},
}
_TAKE_BACK: dict[str, Any] = {
    "summary": "Take a correction back",
    "response_description": "it is deleted",
    "status_code": 204,
    "responses": _errors(
        _403="forbidden",
        _404="unknown_request",
        _408="too_slow",
        _413="body_too_large",
        _422="invalid_request",
        _429="rate_limited",
        _503="busy, feedback_failed",
    ),
    "openapi_extra": {"x-curl": _CURL_JSON + ' \'{"receipt": "..."}\' -X DELETE {base}/feedback'},
}
_HEALTH: dict[str, Any] = {
    "summary": "See whether the service is up, and with which model",
    "response_description": "it is up",
    "responses": _errors(_503="no_model, busy, feedback_failed"),
    "openapi_extra": {"x-curl": "curl {base}/health"},
}
_METRICS: dict[str, Any] = {
    "summary": "Read the counts since the start",
    "response_class": Response,
    "responses": {
        200: {
            "model": MetricsAnswer,
            "content": {"text/plain": {"schema": {"type": "string"}}},
            "description": "Prometheus text, or JSON where `Accept` asks for it",
        },
        **_errors(_503="busy, feedback_failed"),
    },
    "openapi_extra": {"x-curl": "curl -H 'Accept: application/json' {base}/metrics"},
}


class RestApi:
    """The routes, each a few lines over the service."""

    def __init__(
        self,
        service: Service,
        metrics: Metrics,
        *,
        client_of: Callable[[Request], str],
        warnings: Callable[[], list[str]],
    ) -> None:
        """Make the routes.

        Args:
            service: Does the work.
            metrics: What `GET /metrics` shows.
            client_of: The address of the client behind a request.
            warnings: What a maintainer should know, for `GET /health`.
        """
        self._service = service
        self._metrics = metrics
        self._client_of = client_of
        self._warnings = warnings

    def router(self) -> APIRouter:
        """All routes, to be included in an app."""
        router = APIRouter()
        router.post("/predict", **_PREDICT)(self.predict)
        router.post("/feedback", **_FEEDBACK)(self.feedback)
        router.get("/feedback/{row_id}", **_FEEDBACK_STATUS)(self.feedback_status)
        router.delete("/feedback", **_TAKE_BACK)(self.take_back)
        router.get("/health", **_HEALTH)(self.health)
        router.get("/metrics", **_METRICS)(self.metrics)
        router.head("/health", include_in_schema=False)(self.health)  # some monitors and balancers want no body
        router.head("/metrics", include_in_schema=False)(self.metrics)
        return router

    async def predict(
        self,
        request: Request,
        url: Annotated[str | None, Query(description="address of a picture, instead of the form field `file`")] = None,
        consent: Annotated[
            bool,
            Query(description="whether the picture may be kept, at random, to learn how often the answers are right"),
        ] = False,
    ) -> PredictionAnswer:
        """Send a picture as the form field `file`, or name its address in the query."""
        if url is not None:
            fetching = self._service.classify_url(url, consents=consent)
            return PredictionAnswer.of(await unless_gone(request, fetching))
        async with spooled_form(request, max_files=1, max_fields=1) as form:
            classifying = self._service.classify(_picture(form).file.read, Source.API, consents=consent)
            return PredictionAnswer.of(await unless_gone(request, classifying))

    async def feedback(self, request: Request, response: Response) -> FeedbackAnswer:
        """Correct or confirm a recent prediction by its `request_id`; later than that, send the picture again.

        Another label for the same prediction replaces the earlier one; the same label again changes nothing.
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

    async def take_back(self, told: ReceiptRequest) -> None:
        """Delete picture and answer. The receipt is the secret that POST /feedback handed out."""
        if not await self._service.take_back(told.receipt):
            raise UnknownRequestError("There is no correction with this receipt.")

    async def health(self) -> HealthAnswer:
        """503 until a model is live."""
        live = self._service.live
        return HealthAnswer(
            version=__version__,
            model_id=live.model.model_id,
            model_revision=live.model.revision,
            origin=live.origin,
            labels=live.model.labels,
            positive_label=live.model.metadata.positive_label,
            last_reload=self._service.live_since,
            feedback=await self._pending(),
            warnings=self._warnings(),
        )

    async def metrics(self, request: Request) -> Response:
        """Predictions and corrections, of page and API alike."""
        if "application/json" in request.headers.get("Accept", ""):
            answer = MetricsAnswer(**asdict(self._metrics.summary()))
            return Response(answer.model_dump_json(), media_type="application/json")
        gauges = self._metrics.gauges
        gauges.feedback_is(await self._service.pending(), self._service.sync_state())
        gauges.journal_is(await self._service.stats())
        gauges.queues_are(self._service.loads())
        gauges.warnings_are(len(self._warnings()))
        return Response(self._metrics.prometheus(), media_type=PROMETHEUS_TEXT)

    async def _correct(self, request: Request) -> Correction:
        try:
            told = FeedbackRequest.model_validate_json(await request.body())
        except ValidationError as error:
            raise _invalid(error) from None
        return await self._service.correct(told.request_id, told.label, client=self._client_of(request))

    async def _correct_picture(self, request: Request) -> Correction:
        async with spooled_form(request, max_files=1, max_fields=3, max_part_size=1000) as form:
            picture = _picture(form)
            try:
                told = PictureFeedbackRequest.model_validate({k: v for k, v in form.items() if k != "file"})
            except ValidationError as error:
                raise _invalid(error) from None
            return await self._service.correct_picture(
                picture.file.read,
                told.label,
                source=told.source,
                client=self._client_of(request),
                key=told.idempotency_key,
            )

    async def _pending(self) -> PendingFeedback:
        pending = await self._service.pending()
        age_s = (datetime.now(UTC) - pending.oldest_at).total_seconds() if pending.oldest_at else None
        state = self._service.sync_state()
        return PendingFeedback(
            pending=pending.rows,
            oldest_age_s=age_s,
            damaged=pending.damaged,
            repo_id=state.repo_id if state else None,
            last_success=state.last_success if state else None,
            failures=state.failures if state else 0,
            problem=state.problem if state else None,
        )


def _status(correction: Correction) -> int:
    """Created, accepted and not yet safe, or there before."""
    if not correction.created:
        return 200
    return 202 if correction.status is RowStatus.RECEIVED else 201


def _picture(form: FormData) -> UploadFile:
    picture = form.get("file")
    if not isinstance(picture, UploadFile):
        raise HTTPException(_INVALID, _NO_PICTURE)
    return picture


def _invalid(error: ValidationError) -> RequestValidationError:
    """Pydantic's complaint about a body that we parsed ourselves, as FastAPI would have raised it."""
    return RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in error.errors(include_input=False)])

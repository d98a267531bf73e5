"""The OpenAPI document: what FastAPI cannot read off the routes, in a shape that client generators understand."""

from typing import Any

from fastapi import FastAPI, Response
from pydantic import BaseModel

from catdog.settings import Settings
from web.api.schemas import (
    FeedbackAnswer,
    FeedbackRequest,
    HfRequest,
    MetricsAnswer,
    PictureFeedbackRequest,
    PredictRequest,
)
from web.errors import Problem

_REF = "#/components/schemas/"
_CURL_JSON = "curl -H 'Content-Type: application/json' -d"
_PICTURE = {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, AVIF, GIF, BMP or HEIC"}
_RAW = {
    "application/octet-stream": {
        "schema": {
            **_PICTURE,
            "description": f"{_PICTURE['description']}; `Content-Type: image/jpeg` and the like will do as well",
        }
    }
}
"""`image/*` is not listed itself: generators of clients do not know it, and leave out what it belongs to."""


def _errors(**codes: str) -> dict[int | str, dict[str, Any]]:
    """Error responses for the OpenAPI document: from `_404="..."`, the codes that this status may carry."""
    return {int(status[1:]): {"model": Problem, "description": text} for status, text in codes.items()}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    """A body of several types. Were it required, openapi-python-client would write modules that don't import."""
    return {"required": False, "content": content}


def _ref(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": _REF + name}}


_PICTURE_ERRORS = {
    "_403": "forbidden",
    "_408": "too_slow",
    "_413": "image_too_large, body_too_large",
    "_422": "unreadable_image, invalid_request",
    "_429": "rate_limited",
    "_503": "busy, no_model",
}

PREDICT: dict[str, Any] = {
    "operation_id": "predict",
    "summary": "Classify one picture",
    "response_description": "the prediction",
    "responses": _errors(
        **{**_PICTURE_ERRORS, "_422": "unreadable_image, url_refused, url_not_image, url_failed, invalid_request"}
    ),
    "openapi_extra": {
        "requestBody": _body(
            {
                "multipart/form-data": _ref("PredictForm"),
                "application/json": _ref("PredictRequest"),
                **_RAW,
            }
        ),
        "x-curl": "curl -F file=@photo.jpg {base}/predict",
    },
}
HF: dict[str, Any] = {
    "operation_id": "hf",
    "summary": "Classify one picture, as the Hub's Inference API does",
    "response_description": "the most probable labels, best first",
    "responses": _errors(**_PICTURE_ERRORS),
    "openapi_extra": {
        "requestBody": _body({**_RAW, "application/json": _ref("HfRequest")}),
        "x-curl": "curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg {base}/hf",
    },
}
FEEDBACK: dict[str, Any] = {
    "operation_id": "feedback",
    "summary": "Correct or confirm a prediction",
    "response_description": "it is stored",
    "status_code": 201,
    "responses": {
        200: {"model": FeedbackAnswer, "description": "the same correction was already there"},
        202: {"model": FeedbackAnswer, "description": "received, but not yet safe"},
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
        "requestBody": _body(
            {"application/json": _ref("FeedbackRequest"), "multipart/form-data": _ref("FeedbackForm")}
        ),
        "x-curl": _CURL_JSON + ' \'{"request_id": "...", "label": "..."}\' {base}/feedback',
    },
}
FEEDBACK_STATUS: dict[str, Any] = {
    "operation_id": "feedback_status",
    "summary": "See where a correction is",
    "response_description": "its status",
    "responses": _errors(_404="unknown_request", _422="invalid_request", _503="busy, feedback_failed"),
    "openapi_extra": {"x-curl": "curl {base}/feedback/ID"},
}
TAKE_BACK: dict[str, Any] = {
    "operation_id": "take_back",
    "summary": "Delete a correction",
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
HEALTH: dict[str, Any] = {
    "operation_id": "health",
    "summary": "See whether the service is up, and with which model",
    "response_description": "it is up",
    "responses": _errors(_503="no_model, busy, feedback_failed"),
    "openapi_extra": {"x-curl": "curl {base}/health"},
}
METRICS: dict[str, Any] = {
    "operation_id": "metrics",
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


def add_schemas(app: FastAPI, settings: Settings) -> None:
    """Let an app's document have the bodies that its routes parse themselves, and the limits in its description."""
    build = app.openapi
    app.description = f"{app.description} {_limits(settings)}"

    def openapi() -> dict[str, Any]:
        document = build()
        document["components"]["schemas"] |= _schemas()
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _schemas() -> dict[str, Any]:
    form = _of(PictureFeedbackRequest)
    fields = form.pop("PictureFeedbackRequest")
    fields |= {"title": "FeedbackForm", "required": ["file", *fields["required"]]}
    fields["properties"] = {"file": _PICTURE, **fields["properties"]}
    predict = {"type": "object", "title": "PredictForm", "properties": {"file": _PICTURE}, "required": ["file"]}
    predict["description"] = "A picture as a form."
    return {
        **form,
        "PredictForm": predict,
        "FeedbackForm": fields,
        **_of(PredictRequest),
        **_of(FeedbackRequest),
        **_of(HfRequest),
    }


def _of(model: type[BaseModel]) -> dict[str, Any]:
    """A request body's schema and those that it refers to, by name.

    Without defaults: openapi-typescript takes what has one for something that is always there.
    """
    schema = model.model_json_schema(ref_template=_REF + "{model}")
    schemas = {**schema.pop("$defs", {}), model.__name__: schema}
    for each in schemas.values():
        for field in each.get("properties", {}).values():
            field.pop("default", None)
    return schemas


def _limits(settings: Settings) -> str:
    return (
        f"Limits: pictures of {settings.max_bytes / 1e6:.3g} MB and {settings.max_pixels / 1e6:.3g} million pixels, "
        f"{settings.rate_limit} predictions and {settings.feedback_limit} corrections per client; `RateLimit` headers "
        "say what is left, and `Retry-After` how long to wait."
    )

"""Request and response bodies of the API, as its OpenAPI document describes them."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from catdog.model.model import Prediction
from feedback.row import RowStatus, Source
from web.service.service import Answer, Correction

_MAX_LABEL = 200
_TOP_K = 5
_MAX_KEY = 200
_ID = r"^[0-9a-zA-Z-]{1,64}$"


class _Body(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class PredictRequest(_Body):
    """A picture as JSON: its address, or its bytes."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(None, description="public address of the picture", examples=["https://example.org/cat.jpg"])
    image: str | None = Field(
        None, description="the picture's bytes in base64, with or without `data:image/...;base64,` before them"
    )

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.url is None) == (self.image is None):
            raise ValueError("send either `url` or `image`")
        return self


class HfParameters(_Body):
    """Options of the Hub's image-classification task."""

    top_k: int | None = Field(None, ge=1, description="how many labels to return; 5 if unset")
    function_to_apply: Literal["softmax"] | None = Field(None, description="scores are softmax probabilities")


class HfRequest(_Body):
    """A picture as the Hub's Inference API takes it in JSON."""

    inputs: str = Field(min_length=1, description="the picture's bytes in base64")
    parameters: HfParameters | None = Field(None, description="options")


class HfScore(_Body):
    """One label and its probability."""

    label: str = Field(description="a label of the model", examples=["cat"])
    score: float = Field(ge=0, le=1, description="its probability", examples=[0.97])


class HfResponse(RootModel[list[HfScore]]):
    """The most probable labels, best first."""

    @classmethod
    def of(cls, prediction: Prediction, *, top_k: int | None) -> Self:
        """The labels of a prediction."""
        scores = zip(prediction.labels, prediction.probabilities, strict=True)
        best = sorted(scores, key=lambda each: each[1], reverse=True)[: top_k or _TOP_K]
        return cls([HfScore(label=label, score=score) for label, score in best])


class PredictionAnswer(_Body):
    """The model's prediction for one picture."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "label": "cat",
                    "probability": 0.03,
                    "prediction": "cat",
                    "confidence": 0.97,
                    "probabilities": {"cat": 0.97, "dog": 0.03},
                    "verdict": "cat",
                    "request_id": "0" * 32,
                    "latency_ms": 8.1,
                    "model_revision": "local-0123456789ab",
                }
            ]
        }
    )

    label: str = Field(description="the most probable label")
    probability: float | None = Field(description="probability of the model's positive label; null if it has none")
    prediction: str = Field(description="the same as label")
    confidence: float = Field(ge=0, le=1, description="the probability of label")
    probabilities: dict[str, float] = Field(description="of each label; they add up to 1")
    verdict: str = Field(description="a label, or `neither`, or `unsure`")
    request_id: str = Field(description="for POST /feedback, within 30 minutes")
    latency_ms: float = Field(ge=0, description="milliseconds from picture to response, waiting included")
    model_revision: str = Field(description="which version of the model predicted")
    audit_receipt: str | None = Field(
        None,
        exclude_if=lambda receipt: receipt is None,
        description="only where the picture was kept with consent: the secret for DELETE /feedback",
    )

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """The response to a prediction of the service."""
        prediction = answer.prediction
        return cls(
            label=prediction.label,
            probability=prediction.probability,
            prediction=prediction.label,
            confidence=prediction.confidence,
            probabilities=dict(zip(prediction.labels, prediction.probabilities, strict=True)),
            verdict=prediction.verdict,
            request_id=answer.request_id,
            latency_ms=round(answer.latency_ms, 3),
            model_revision=prediction.model_revision,
            audit_receipt=answer.audit_receipt,
        )


class FeedbackRequest(_Body):
    """The correct label of a recent prediction."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(pattern=_ID, description="from the answer of POST /predict")
    label: str = Field(min_length=1, max_length=_MAX_LABEL, description="a label of the model, `neither` or `unsure`")


class PictureFeedbackRequest(_Body):
    """The text fields of the form that sends a picture again; the picture itself is `file`."""

    model_config = ConfigDict(extra="forbid")

    label: str = Field(min_length=1, max_length=_MAX_LABEL, description="a label of the model, `neither` or `unsure`")
    source: Source = Field(
        Source.API,
        description="where it came from, `api` if unset; `browser`: the static page, whose own model classified it",
    )
    idempotency_key: str | None = Field(
        None, min_length=1, max_length=_MAX_KEY, description="repeating a request with the same key adds nothing"
    )


class FeedbackAnswer(_Body):
    """A stored correction."""

    id: str = Field(description="for GET /feedback/ID")
    receipt: str | None = Field(description="the secret that deletes it; null if it was already there")
    status: RowStatus = Field(description="`received`: stored here, and on its way to the Hub; `saved`: safe")
    request_id: str = Field(description="the prediction that was corrected: another label for it replaces this one")

    @classmethod
    def of(cls, correction: Correction) -> Self:
        """The response to a correction."""
        return cls(
            id=correction.id, receipt=correction.receipt, status=correction.status, request_id=correction.request_id
        )


class FeedbackStatus(_Body):
    """Where a correction is."""

    id: str = Field(description="the requested id")
    status: RowStatus = Field(description="`received`: on its way; `saved`: safe; `failed`: send it again")


class ReceiptRequest(_Body):
    """The secret that deletes a correction."""

    model_config = ConfigDict(extra="forbid")

    receipt: str = Field(min_length=1, max_length=500, description="from the answer of POST /feedback")


class PendingFeedback(_Body):
    """Rows that only this machine has, including replaced ones."""

    pending: int = Field(ge=0, description="how many")
    oldest_age_s: float | None = Field(description="the age of the oldest of them in seconds; null if there is none")
    damaged: int = Field(ge=0, description="corrections whose picture this disk has damaged")
    repo_id: str | None = Field(description="the data set that receives them; null if none is set, and to strangers")
    last_success: datetime | None = Field(description="when everything was last sent")
    failures: int = Field(ge=0, description="failed attempts to send since the start")
    problem: str | None = Field(description="why the last attempt failed, to a maintainer; null if it succeeded")


class HealthAnswer(_Body):
    """The service is up."""

    status: Literal["ok"] = Field("ok", description="always `ok`; otherwise the response is an error")
    version: str = Field(description="of this program")
    model_id: str = Field(description="the model's name, on the Hub or of its folder")
    model_revision: str = Field(description="which version of the model is live")
    origin: Literal["folder", "hub", "cache", "embedded"] = Field(
        description="where the model came from; cache and embedded mean that the Hub could not be used"
    )
    labels: tuple[str, ...] = Field(description="the labels of the model")
    positive_label: str | None = Field(description="the label that `probability` is about; null if there is none")
    last_reload: datetime = Field(description="when this model went live")
    feedback: PendingFeedback = Field(description="corrections that only this machine has, and their delivery")
    warnings: list[str] = Field(description="what a maintainer should know; causes and names with the admin token")


class MetricsAnswer(_Body):
    """The counts since the start; latencies are null before the first prediction."""

    total_requests: int = Field(ge=0, description="predictions requested through page and API")
    successful_requests: int = Field(ge=0, description="those that succeeded")
    failed_requests: int = Field(ge=0, description="those that failed")
    average_latency_ms: float | None = Field(description="average latency in milliseconds; null at first")
    min_latency_ms: float | None = Field(description="lowest latency in milliseconds; null at first")
    max_latency_ms: float | None = Field(description="highest latency in milliseconds; null at first")
    prediction_counts: dict[str, int] = Field(description="predictions by label")
    last_request_time: datetime | None = Field(description="time of the last prediction; null if there was none")

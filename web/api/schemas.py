"""What the API takes and gives, as its OpenAPI document describes it."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from feedback.row import RowStatus, Source
from web.service.service import Answer, Correction

_MAX_LABEL = 200
_MAX_KEY = 200
_ID = r"^[0-9a-zA-Z-]{1,64}$"


class _Body(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class PredictionAnswer(_Body):
    """What the model says about one picture."""

    label: str = Field(description="the most probable label")
    probability: float | None = Field(description="of the model's positive label; null if it has none")
    prediction: str = Field(description="the same as label")
    confidence: float = Field(ge=0, le=1, description="the probability of label")
    probabilities: dict[str, float] = Field(description="of each label; they add up to 1")
    verdict: str = Field(description="a label, or `neither`, or `unsure`")
    request_id: str = Field(description="for POST /feedback, within 30 minutes")
    latency_ms: float = Field(ge=0, description="milliseconds from the picture in hand to the answer, waiting included")
    model_revision: str = Field(description="which version of the model answered")
    audit_receipt: str | None = Field(
        None,
        exclude_if=lambda receipt: receipt is None,
        description="only where the picture was kept, with consent: the secret that DELETE /feedback takes",
    )

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """An answer of the service, as the API words it."""
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
    """The right label of a recent prediction."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(pattern=_ID, description="from the answer of POST /predict")
    label: str = Field(min_length=1, max_length=_MAX_LABEL, description="a label of the model, `neither` or `unsure`")


class PictureFeedbackRequest(_Body):
    """The fields of the form that brings a picture again; the picture itself is `file`."""

    model_config = ConfigDict(extra="forbid")

    label: str = Field(min_length=1, max_length=_MAX_LABEL, description="a label of the model, `neither` or `unsure`")
    source: Source = Field(
        Source.API,
        description="where the picture came from; `browser`: the static page, whose own model classified it",
    )
    idempotency_key: str | None = Field(
        None, min_length=1, max_length=_MAX_KEY, description="sending the same again adds nothing"
    )


class FeedbackAnswer(_Body):
    """A correction that was kept."""

    id: str = Field(description="for GET /feedback/ID")
    receipt: str | None = Field(description="the secret that takes it back; null if it was there before")
    status: RowStatus = Field(description="`received`: kept, and on its way to where it is safe; `saved`: safe")
    request_id: str = Field(description="the prediction that was answered: another label for it replaces this one")

    @classmethod
    def of(cls, correction: Correction) -> Self:
        """A correction of the service, as the API words it."""
        return cls(
            id=correction.id, receipt=correction.receipt, status=correction.status, request_id=correction.request_id
        )


class FeedbackStatus(_Body):
    """Where a correction is."""

    id: str = Field(description="the one that was asked for")
    status: RowStatus = Field(description="`received`: on its way; `saved`: safe; `failed`: send it again")


class ReceiptRequest(_Body):
    """What takes a correction back."""

    model_config = ConfigDict(extra="forbid")

    receipt: str = Field(min_length=1, max_length=500, description="from the answer of POST /feedback")


class PendingFeedback(_Body):
    """Rows that only this machine has, answers that were changed later among them."""

    pending: int = Field(ge=0, description="how many")
    oldest_age_s: float | None = Field(description="the age of the oldest of them in seconds; null if there is none")
    damaged: int = Field(ge=0, description="corrections whose picture this disk has damaged")
    repo_id: str | None = Field(description="the data set that receives them; null if none is set")
    last_success: datetime | None = Field(description="when everything had been sent last")
    failures: int = Field(ge=0, description="failed attempts to send since the start")
    problem: str | None = Field(description="why the last attempt failed; null if it did not")


class HealthAnswer(_Body):
    """The service is up."""

    status: Literal["ok"] = Field("ok", description="always `ok`; otherwise the answer is an error")
    version: str = Field(description="of this program")
    model_id: str = Field(description="the model's name, on the Hub or of its folder")
    model_revision: str = Field(description="which version of the model answers now")
    origin: Literal["folder", "hub", "cache", "embedded"] = Field(
        description="where the model came from; cache and embedded mean that the Hub could not be used"
    )
    labels: tuple[str, ...] = Field(description="what the model can say")
    positive_label: str | None = Field(description="the label that `probability` is about; null if there is none")
    last_reload: datetime = Field(description="when this model went live")
    feedback: PendingFeedback = Field(description="corrections that only this machine has, and how sending them goes")
    warnings: list[str] = Field(description="what a maintainer should know")


class MetricsAnswer(_Body):
    """The counts since the start; latencies are null before the first prediction."""

    total_requests: int = Field(ge=0, description="predictions that were asked for, by page and API")
    successful_requests: int = Field(ge=0, description="those that got an answer")
    failed_requests: int = Field(ge=0, description="those that got an error")
    average_latency_ms: float | None = Field(description="milliseconds to an answer, on average; null before the first")
    min_latency_ms: float | None = Field(description="milliseconds to the quickest answer; null before the first")
    max_latency_ms: float | None = Field(description="milliseconds to the slowest answer; null before the first")
    prediction_counts: dict[str, int] = Field(description="how often the model said what: labels, `neither`, `unsure`")
    last_request_time: datetime | None = Field(description="when a prediction was asked for last; null if none was")

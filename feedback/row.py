"""The feedback row: what the model said about one picture, and what a person said."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import uuid_utils
from PIL import Image

from catdog import __version__
from catdog.errors import UnknownLabelError
from catdog.images.decode import to_jpeg
from catdog.images.phash import phash
from catdog.model.metadata import RESERVED_LABELS

if TYPE_CHECKING:  # the model needs ONNX Runtime, rows do not
    from catdog.model.model import Prediction

SCHEMA_VERSION = 1
NEITHER_SCORE = "neither_score"
"""In `extra`: the model's own score for "none of the labels", if it has one."""

SHADOW = "shadow"
"""In `extra`: what a challenger in shadow said, where it disagreed with the model; see `web.service.shadow`."""

AUDIT = "audit"
"""In `extra`: true for a picture of the random sample, which nobody has corrected; see `feedback.review.audit`."""


class Source(StrEnum):
    """How the picture came."""

    UPLOAD = "upload"
    WEBCAM = "webcam"
    URL = "url"
    CLIPBOARD = "clipboard"
    API = "api"
    BROWSER = "browser"


class RowStatus(StrEnum):
    """Where an acknowledged row is."""

    RECEIVED = "received"
    SAVED = "saved"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRow:
    """One answer of one person about one prediction, schema 1. Immutable: a changed answer is another row."""

    id: str
    """UUIDv7: ids sort by time."""
    request_id: str
    """The prediction that is answered; the newest row of a request is the one that counts."""
    created_at: datetime
    """In UTC."""
    image: bytes
    """JPEG, upright, without metadata, longer side at most 512 pixels."""
    image_sha256: str
    """Of the bytes of `image`."""
    image_phash: str
    """Perceptual hash, 64 hexadecimal digits: few bits differ between near-duplicates."""
    predicted_label: str
    """The label with the largest probability."""
    verdict: str
    """What the app said: a label, `neither` or `unsure`."""
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    """In the order of `labels`, in [0, 1]."""
    corrected_label: str
    """What the person says: one of `labels`, `neither` or `unsure`; equal to `predicted_label` in a confirmation."""
    model_id: str
    model_revision: str
    source: Source
    client: str
    """A grouping hint that changes monthly (see `feedback.keys`), never proof; may be empty."""
    app_version: str = __version__
    schema_version: int = SCHEMA_VERSION
    extra: str = "{}"
    """A JSON object, for growth."""

    @property
    def is_confirmation(self) -> bool:
        """Whether the person agrees with the model."""
        return self.corrected_label == self.predicted_label

    @property
    def is_audit(self) -> bool:
        """Whether it was kept at random, without an answer, to learn how often the model is right."""
        return AUDIT in self.extra and json.loads(self.extra).get(AUDIT) is True


def new_id() -> str:
    """A UUIDv7: of two, the later one is larger. A clock that is before 1970 counts as at its beginning."""
    return str(uuid_utils.uuid7() if time.time() >= 0 else uuid_utils.uuid7(nanoseconds=0))


def new_row(  # noqa: PLR0913 - the columns that cannot be derived, all by name
    *,
    prediction: "Prediction",
    picture: Image.Image,
    corrected_label: str,
    request_id: str,
    source: Source,
    client: str,
    created_at: datetime | None = None,
    extra: Mapping[str, Any] | None = None,
) -> FeedbackRow:
    """Make the row of an answer.

    Args:
        prediction: What the model said.
        picture: An upright RGB image of any size, as `catdog.images.decode.decode_image` returns it.
        corrected_label: What the person says it is.
        request_id: The id of the prediction.
        source: How the picture came.
        client: A hint that groups rows of one client; see `feedback.keys`.
        created_at: Now if None.
        extra: Further facts, to be kept as JSON.

    Raises:
        UnknownLabelError: the model has no such label, and it is neither `neither` nor `unsure`.
    """
    allowed = (*prediction.labels, *sorted(RESERVED_LABELS))
    if corrected_label not in allowed:
        raise UnknownLabelError(
            f"The label must be one of {', '.join(allowed)}. Choose one of these and send it again."
        )
    jpeg = to_jpeg(picture)
    score = {} if prediction.neither_score is None else {NEITHER_SCORE: prediction.neither_score}
    return FeedbackRow(
        id=new_id(),
        request_id=request_id,
        created_at=(created_at or datetime.now(UTC)).astimezone(UTC),
        image=jpeg,
        image_sha256=hashlib.sha256(jpeg).hexdigest(),
        image_phash=phash(picture),
        predicted_label=prediction.label,
        verdict=prediction.verdict,
        labels=prediction.labels,
        probabilities=prediction.probabilities,
        corrected_label=corrected_label,
        model_id=prediction.model_id,
        model_revision=prediction.model_revision,
        source=source,
        client=client,
        extra=json.dumps({**score, **(extra or {})}),
    )


def text(given: str) -> str:
    """Text that SQLite takes: JSON may hold halves of surrogate pairs, which have no UTF-8."""
    return given.encode("utf-8", "replace").decode()

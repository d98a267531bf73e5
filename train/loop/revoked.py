"""`revoked.json`: the revisions of a model repository that were taken back, and must not return by themselves."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from catdog.errors import HubError
from catdog.hub.models import REVOKED_FILE
from catdog.model.metadata import ONNX_FILE, WEIGHTS_FILE, Metadata


class Revocation(BaseModel):
    """One revision that was rolled back."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    commit: str
    """Where it stood on `main`."""
    fingerprint: str
    """Of the model, wherever it stands; see `fingerprint`."""
    restored: str
    """The tag that took its place."""
    reason: str
    at: datetime


_LIST = TypeAdapter(tuple[Revocation, ...])


def fingerprint(metadata: Metadata) -> str:
    """What makes a model answer as it does, as one SHA-256: weights, network, labels and rules."""
    parts = [
        metadata.sha256(WEIGHTS_FILE),
        metadata.sha256(ONNX_FILE),
        metadata.labels,
        metadata.preprocessing.model_dump(),
        metadata.verdict.model_dump(),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def feedback_rows(metadata: Metadata) -> frozenset[str]:
    """The ids of all feedback rows that were looked at when the model was made, whatever became of them."""
    feedback = metadata.training.get("feedback", {})
    left_out = feedback.get("left_out", {}).values()
    kinds = (feedback.get(kind, ()) for kind in ("rows", "held_out", "neither"))
    return frozenset(row for ids in (*kinds, *left_out) for row in ids)


def parse_metadata(content: bytes | None) -> Metadata | None:
    """What a revision's model says about itself; None where that is missing or damaged."""
    try:
        return Metadata.model_validate_json(content) if content is not None else None
    except ValidationError:
        return None


def read_revoked(content: bytes | None) -> tuple[Revocation, ...]:
    """The list in a `revoked.json`; empty if there is no such file.

    Raises:
        HubError: somebody edited it, and it is no longer such a list.
    """
    try:
        return _LIST.validate_json(content) if content is not None else ()
    except ValidationError as error:
        raise HubError(f"{REVOKED_FILE} in the repository is damaged: {error.errors()[0]['msg']}. Mend it.") from None


def write_revoked(revoked: Sequence[Revocation]) -> bytes:
    """The content of `revoked.json`."""
    return json.dumps(_LIST.dump_python(tuple(revoked), mode="json"), indent=2).encode() + b"\n"

"""`metadata.json`: what a model folder says about itself. Labels, preprocessing and rules come from here alone."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from catdog.errors import ModelError

SCHEMA_VERSION = 1
METADATA_FILE = "metadata.json"
ONNX_FILE = "onnx/model.onnx"
WEIGHTS_FILE = "model.safetensors"
SPLITS_FILE = "splits.csv"


class Verdict(str):
    """The app's answer about a picture: one of the model's labels, `neither` or `unsure`. It is stored as that text.

    Everything that depends on the kind of verdict asks these properties, so that a new kind is defined here.
    """

    __slots__ = ()

    @property
    def kind(self) -> Literal["label", "neither", "unsure"]:
        """`label`, or the verdict's own name where it isn't a label."""
        return "neither" if self == NEITHER else "unsure" if self == UNSURE else "label"

    @property
    def is_label(self) -> bool:
        """Whether the model gave a definite answer."""
        return self.kind == "label"

    @property
    def is_neither(self) -> bool:
        """Whether the picture shows none of the labels."""
        return self.kind == "neither"

    @property
    def is_unsure(self) -> bool:
        """Whether the model can't decide between its labels."""
        return self.kind == "unsure"

    @property
    def is_confirmable(self) -> bool:
        """Whether a person can say that it is right."""
        return not self.is_unsure

    def corrections(self, labels: Sequence[str]) -> tuple["Verdict", ...]:
        """What a person may say instead; `unsure` is always possible, as "both, or can't tell"."""
        return tuple(each for each in possible_verdicts(labels) if each != self or each.is_unsure)


NEITHER = Verdict("neither")
UNSURE = Verdict("unsure")
_LONGEST_LABEL = 200
RESERVED_LABELS = frozenset({NEITHER, UNSURE})
"""Verdicts and corrections that no model may use as a label."""


def possible_verdicts(labels: Sequence[str]) -> tuple[Verdict, ...]:
    """Every verdict of a model with these labels, and every correction of one."""
    return (*map(Verdict, labels), NEITHER, UNSURE)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Preprocessing(_Frozen):
    """From an RGB image to the network's input, in timm's terms."""

    input_size: int = Field(gt=0, le=2048)
    """Height and width in pixels."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"]
    crop_pct: float = Field(gt=0, le=1)
    crop_mode: Literal["center", "squash"]

    @model_validator(mode="after")
    def _positive_std(self) -> Self:
        if min(self.std) <= 0:
            raise ValueError("std must be positive")
        return self


class UnsureRule(_Frozen):
    """The verdict is `unsure` where the largest probability is below the threshold."""

    min_confidence: float = Field(ge=0, le=1)


class NeitherRule(_Frozen):
    """The verdict is `neither` where the ONNX output `neither_score` is above the threshold."""

    max_score: float


class VerdictRules(_Frozen):
    """When the app says something else than the top label; a missing rule never fires. `neither` is asked first."""

    neither: NeitherRule | None = None
    unsure: UnsureRule | None = None


class Distribution(_Frozen):
    """How one property of pictures is distributed: some points of its cumulative distribution function."""

    values: tuple[float, ...] = Field(min_length=1)
    """Ascending."""
    shares: tuple[float, ...]
    """Of the pictures, in [0, 1]: how many have at most that value."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if len(self.shares) != len(self.values):
            raise ValueError("values and shares must be equally many")
        for points in (self.values, self.shares):
            if list(points) != sorted(points):
                raise ValueError("values and shares must ascend")
        return self


class Projection(_Frozen):
    """From the network's features to principal components of variance 1: `weights @ features + offsets`."""

    weights: str
    """Shape (components, features): float16, little-endian, in base64."""
    offsets: tuple[float, ...] = Field(min_length=1)
    """One for each component."""

    @property
    def matrix(self) -> npt.NDArray[np.float32]:
        """The weights, shape (components, features)."""
        return np.frombuffer(base64.b64decode(self.weights), "<f2").astype(np.float32).reshape(len(self.offsets), -1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.matrix.shape[1] < 1:
            raise ValueError("weights and offsets do not fit together")
        return self


class DriftReference(_Frozen):
    """What pictures were like that the model was judged by; see `catdog.model.drift`."""

    n: int = Field(gt=0)
    """How many pictures."""
    properties: dict[str, Distribution]
    projection: Projection | None = None
    """For the property `features`."""


class FileHash(_Frozen):
    """One file of the model folder."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Metadata(_Frozen):
    """The contents of `metadata.json`, schema 1."""

    schema_version: Literal[1]
    architecture: str
    """timm's name of the network."""
    labels: tuple[str, ...] = Field(min_length=2)
    """In the order of the logits."""
    positive_label: str | None = None
    preprocessing: Preprocessing
    verdict: VerdictRules = VerdictRules()
    temperature: float = Field(1.0, gt=0)
    """Already folded into the last layer; recorded so that it can be undone."""
    training: dict[str, Any] = {}
    """Data with revision and hash, recipe, starting weights."""
    drift_reference: DriftReference | None = None
    seed: int | None = None
    versions: dict[str, str] = {}
    """Library versions."""
    metrics: dict[str, dict[str, Any]] = {}
    """By split: accuracy, auc, log_loss, ece, n, ..."""
    files: tuple[FileHash, ...] = ()

    @model_validator(mode="after")
    def _labels_make_sense(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must differ")
        if any(not label.isprintable() or not 0 < len(label) <= _LONGEST_LABEL for label in self.labels):
            raise ValueError(f"labels must be words of at most {_LONGEST_LABEL} printable characters")
        if reserved := RESERVED_LABELS & set(self.labels):
            raise ValueError(f"{', '.join(sorted(reserved))} cannot be a label: the app uses it for its own verdict")
        if self.positive_label is not None and self.positive_label not in self.labels:
            raise ValueError("positive_label must be one of the labels")
        return self

    @property
    def corrections_learned(self) -> int:
        """How many corrections the model was trained with, as retraining recorded them."""
        rows = self.training.get("feedback", {}).get("rows", ())
        return len(rows) if isinstance(rows, list | tuple) else 0

    def sha256(self, path: str) -> str | None:
        """The recorded hash of one file, None if it is not listed."""
        return next((file.sha256 for file in self.files if file.path == path), None)


def load_metadata(folder: Path) -> Metadata:
    """Read a model folder's `metadata.json`.

    Raises:
        ModelError: the folder or the file is missing, or the file is not as schema 1 says.
    """
    path = folder / METADATA_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{folder} is not a model folder: {METADATA_FILE} cannot be read ({_reason(error)}). "
            "Set CATDOG_MODEL to a folder that `python -m train fit` made, or to a Hub repository."
        ) from None
    try:
        return Metadata.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise ModelError(f"{path} is damaged or of another version: {problems}. Fetch the model again.") from None


def write_metadata(folder: Path, metadata: Metadata) -> None:
    """Write `metadata.json`; the files that `metadata.files` names must be there already."""
    text = metadata.model_dump_json(indent=2)
    (folder / METADATA_FILE).write_text(text + "\n", encoding="utf-8")


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_file(folder: Path, metadata: Metadata, path: str) -> Path:
    """Check one file against the hash in the metadata.

    Returns:
        The file's full path.

    Raises:
        ModelError: it is missing, not listed in the metadata, or differs.
    """
    recorded = metadata.sha256(path)
    if recorded is None:
        raise ModelError(f"{folder / METADATA_FILE} lists no hash for {path}. Fetch or train the model again.")
    try:
        found = hash_file(folder / path)
    except OSError as error:
        raise ModelError(f"{folder / path} cannot be read ({_reason(error)}). Fetch the model again.") from None
    if found != recorded:
        raise ModelError(f"{folder / path} is damaged: its SHA-256 is not the recorded one. Fetch the model again.")
    return folder / path


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "not UTF-8"

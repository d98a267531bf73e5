"""`python -m feedback import FILE`: corrections that the static page kept in a visitor's browser.

The file comes from somebody else's device, so nothing in it is believed that can be checked: the picture is decoded and
encoded again, hashes are computed here, and what the model is said to have answered must be possible. The rows wait for
review like all others.
"""

import argparse
import codecs
import itertools
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import AwareDatetime, Base64Bytes, BaseModel, ConfigDict, Field, ValidationError, model_validator

from catdog.cli import counted, printable
from catdog.errors import FeedbackError, ImageError, SettingsError, UnknownLabelError
from catdog.images.decode import ImageLimits, decode_image
from catdog.model.metadata import RESERVED_LABELS, Verdict
from feedback.journal.journal import Journal
from feedback.row import FeedbackRow, Source, new_row

if TYPE_CHECKING:
    from catdog.model.model import Prediction

_MAX_LINE = 3_000_000
"""Bytes; a picture of 512 x 512 pixels has a tenth of that."""
_MAX_CLOCK_ERROR = timedelta(days=1)
_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
_ROUNDING = 1e-3
_TEXT = 200


class KeptCorrection(BaseModel):
    """One line of the file; the names are those of a feedback row."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    schema_version: Literal[1]
    request_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    created_at: AwareDatetime
    image: Base64Bytes
    labels: tuple[str, ...] = Field(min_length=2)
    probabilities: tuple[float, ...]
    verdict: str = Field(max_length=_TEXT)
    neither_score: float | None
    corrected_label: str = Field(max_length=_TEXT)
    model_id: str = Field(min_length=1, max_length=_TEXT)
    model_revision: str = Field(min_length=1, max_length=_TEXT)
    app_version: str = Field(max_length=_TEXT)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(set(self.labels)) != len(self.labels) or RESERVED_LABELS & set(self.labels):
            raise ValueError("labels must differ from each other, and from `neither` and `unsure`")
        if len(self.probabilities) != len(self.labels) or min(self.probabilities) < 0:
            raise ValueError("there must be a probability for each label")
        if not math.isclose(sum(self.probabilities), 1, abs_tol=_ROUNDING):
            raise ValueError("probabilities must add up to 1")
        top = self.labels[self.probabilities.index(max(self.probabilities))]
        if self.verdict not in (top, *RESERVED_LABELS):
            raise ValueError("verdict must be the most probable label, `neither` or `unsure`")
        if self.created_at > datetime.now(UTC) + _MAX_CLOCK_ERROR:
            raise ValueError("created_at lies in the future")
        if self.created_at < _EARLIEST:
            raise ValueError(f"created_at lies before {_EARLIEST.year}")
        return self


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a file."""

    new: int
    known: int
    """Answers that the journal had already, or had a later one than."""
    problems: tuple[str, ...]
    """Lines that were left out, and why."""


def import_rows(path: Path, journal: Journal) -> Imported:
    """Add the corrections of a file to the journal, but for those that it has already, or has later answers than.

    Raises:
        SettingsError: the file cannot be read.
        FeedbackError: the journal cannot keep them.
    """
    new = known = 0
    problems = []
    for number, line in _lines(path):
        row = _row(line)
        if isinstance(row, str):
            problems.append(f"line {number}: {row}")
        elif journal.has_answer(row) or not journal.append(row).created:
            known += 1
        else:
            new += 1
    return Imported(new, known, tuple(problems))


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Add the corrections in FILE, which a visitor of the static page exported, to the journal. They wait for "
        "review like all others. Importing a file again adds nothing, and an older file changes nothing."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a .jsonl file")


def run_import(path: Path, journal: Journal) -> int:
    """Import a file and say what came of it.

    Raises:
        FeedbackError: lines were left out, or nothing could be kept.
    """
    imported = import_rows(path, journal)
    print(f"{counted(imported.new, 'correction')} imported, {imported.known} known before", file=sys.stderr)  # noqa: T201
    for problem in imported.problems:
        print(printable(problem), file=sys.stderr)  # noqa: T201
    if imported.problems:
        raise FeedbackError(f"{len(imported.problems)} lines of {path} are not corrections and were left out.")
    return 0


def _encoding(start: bytes) -> str:
    """The encoding of a file by its first two bytes: its mark, or the zero that UTF-16 puts beside a brace."""
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    return {b"{\0": "utf-16-le", b"\0{": "utf-16-be"}.get(start, "utf-8-sig")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The numbered lines that are not empty."""
    try:
        with path.open("rb") as file:
            start = file.read(2)
        with path.open(encoding=_encoding(start), errors="surrogateescape", newline=None) as lines:
            for number in itertools.count(1):
                line = lines.readline(_MAX_LINE + 1)
                if not line:
                    return
                if line.strip():
                    yield number, line.encode("utf-8", "surrogateescape")
    except (OSError, UnicodeError) as error:
        if isinstance(error, UnicodeError):
            raise SettingsError(f"{path} is not valid UTF-8 or UTF-16 text. Export it again.") from None
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}. Name a file that the static page exported."
        ) from None


def _row(line: bytes) -> FeedbackRow | str:
    """The row of a line, or what is wrong with it."""
    if len(line) > _MAX_LINE:
        return "it is too long for a correction"
    try:
        kept = KeptCorrection.model_validate_json(line)
        return new_row(
            prediction=_prediction(kept),
            picture=decode_image(kept.image, limits=ImageLimits()),
            corrected_label=kept.corrected_label,
            request_id=kept.request_id,
            source=Source.BROWSER,
            client="",
            created_at=kept.created_at,
            extra={"page_version": kept.app_version},
        )
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'line'}: {e['msg']}" for e in error.errors()[:3])
    except (ImageError, UnknownLabelError) as error:
        return str(error)


def _prediction(kept: KeptCorrection) -> "Prediction":
    from catdog.model.model import Prediction  # noqa: PLC0415 - ONNX Runtime, which the other commands do without

    return Prediction(
        labels=kept.labels,
        probabilities=kept.probabilities,
        verdict=Verdict(kept.verdict),
        positive_label=None,
        neither_score=kept.neither_score,
        model_id=kept.model_id,
        model_revision=kept.model_revision,
    )

"""Corrections to a data set's labels that travel without its pictures: a CSV of hashes, verdicts and reasons.

A picture is recognised by its bytes, or by looking the same, so that an overlay made on small copies also fits the
originals.
"""

import csv
import hashlib
import io
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from catdog.errors import DataError, SettingsError
from catdog.images.phash import pack, same_pictures
from train.data.examples import Examples
from train.metrics import Labels

Verdict = Literal["wrong", "unanswerable", "both", "right"]
"""`wrong`: it shows another label. `unanswerable`: none, or nobody can tell. `both`: several. `right`: as it says."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a person saw in one picture."""

    image_sha256: str
    """Of its bytes."""
    image_phash: str
    verdict: Verdict
    label: str
    """What it shows if the verdict is `wrong`, else empty."""
    reason: str

    def __post_init__(self) -> None:
        if (len(bytes.fromhex(self.image_sha256)), len(bytes.fromhex(self.image_phash))) != (32, 32):
            raise ValueError("a hash does not have 64 hexadecimal digits")
        if self.verdict not in VERDICTS:
            raise ValueError(f"the verdict is none of {', '.join(VERDICTS)}")
        if (self.verdict == "wrong") != bool(self.label):
            raise ValueError("a label belongs to the verdict `wrong`, and to no other")


@dataclass(frozen=True, slots=True)
class Overlay:
    """All that was reviewed."""

    name: str
    sha256: str
    """Of the file."""
    reviewed: tuple[Reviewed, ...]

    def by_digest(self) -> Mapping[str, Reviewed]:
        """From a picture's SHA-256."""
        return {each.image_sha256: each for each in self.reviewed}


@dataclass(frozen=True, slots=True)
class Clean:
    """Labels of n examples as an overlay has them."""

    overlay: str
    """Its name."""
    sha256: str
    """Of its file."""
    labels: Labels
    """Shape (n,)."""
    kept: npt.NDArray[np.bool_]
    """Shape (n,): False where no label is right."""
    changed: npt.NDArray[np.bool_]
    """Shape (n,): True where the label is another one now."""

    @property
    def relabelled(self) -> int:
        """How many have another label now."""
        return int(self.changed.sum())

    @property
    def dropped(self) -> int:
        """How many are not kept."""
        return int((~self.kept).sum())

    def at(self, chosen: npt.NDArray[np.bool_]) -> "Clean":
        """Of some examples only."""
        return replace(self, labels=self.labels[chosen], kept=self.kept[chosen], changed=self.changed[chosen])

    @property
    def about(self) -> dict[str, Any]:
        """For the record: which overlay, and what it did."""
        return {"name": self.overlay, "sha256": self.sha256, "relabelled": self.relabelled, "dropped": self.dropped}


def read_overlay(path: Path) -> Overlay:
    """Read an overlay.

    Raises:
        SettingsError: there is no such file.
        DataError: it is not an overlay; the line is named.
    """
    try:
        data = path.read_bytes()
        rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    except OSError as error:
        raise SettingsError(f"--overlay {path} cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"--overlay {path} is not a CSV file in UTF-8: {error}.") from None
    reviewed = tuple(_parse(path, number, row) for number, row in enumerate(rows, start=2))
    if repeated := len(reviewed) - len({each.image_sha256 for each in reviewed}):
        raise DataError(f"--overlay {path}: {repeated} lines repeat a picture of another line. Keep one of each.")
    return Overlay(path.name, hashlib.sha256(data).hexdigest(), reviewed)


def write_overlay(path: Path, reviewed: tuple[Reviewed, ...]) -> None:
    """Write an overlay, sorted by hash."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Reviewed)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(each) for each in sorted(reviewed, key=lambda each: each.image_sha256))


def clean_labels(examples: Examples, overlay: Overlay) -> Clean:
    """Apply an overlay: wrong labels are replaced, pictures without one right label are not kept.

    Raises:
        DataError: it names a label that the data does not have.
    """
    labels, kept = examples.labels.copy(), np.ones(len(examples), dtype=np.bool_)
    for index, each in _match(examples, overlay).items():
        if each.verdict == "wrong":
            labels[index] = _position(each.label, examples.source.labels, overlay)
        elif each.verdict != "right":
            kept[index] = False
    clean = Clean(overlay.name, overlay.sha256, labels, kept, labels != examples.labels)
    _log.info("%s: %d labels replaced, %d pictures left out", overlay.name, clean.relabelled, clean.dropped)
    return clean


def _match(examples: Examples, overlay: Overlay) -> dict[int, Reviewed]:
    """The reviewed examples, by their index."""
    likeness = pack([each.image_phash for each in overlay.reviewed])
    found = {row: overlay.reviewed[each] for row, each in same_pictures(examples.hashes, likeness, examples.certain)}
    exact = overlay.by_digest()
    found |= {row: exact[digest] for row, digest in enumerate(examples.digests) if digest in exact}
    if not found:
        _log.warning("%s names no picture of %s", overlay.name, examples.source.name)
    return found


def _position(label: str, labels: tuple[str, ...], overlay: Overlay) -> int:
    if label not in labels:
        raise DataError(f"--overlay {overlay.name} has the label {label}, the data only {', '.join(labels)}.")
    return labels.index(label)


def _parse(path: Path, number: int, row: dict[str, str]) -> Reviewed:
    try:
        return Reviewed(**{field.name: row[field.name] or "" for field in fields(Reviewed)})  # type: ignore[arg-type]
    except KeyError as error:
        raise DataError(f"--overlay {path} has no column {error}.") from None
    except ValueError as error:
        raise DataError(f"--overlay {path}, line {number}: {error}.") from None

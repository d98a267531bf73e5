"""`python -m train audit`: what is wrong with a data set before anything is trained on it.

Wrong labels are looked for by confident learning (Northcutt et al. 2021, arXiv:1911.00068): a linear model on frozen
features predicts each picture from the others, and where it confidently says something else, a person should look. The
fine-tuned network cannot judge, for it has learned the labels it would be judging; only a network that never saw them,
or one trained anew without each fold, may.
"""

import csv
import json
import logging
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cleanlab.filter import find_label_issues
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from catdog.errors import DataError, SettingsError
from catdog.images.phash import group_near_duplicates
from train.data.examples import Examples, map_rows, read_examples, require_every_label
from train.data.overlay import Overlay
from train.data.source import open_source
from train.evaluation.gallery import Exhibit, gallery, page, write_page
from train.metrics import Floats, Labels, wilson
from train.network.features import Frozen, frozen_features
from train.network.probe import Features

FIRST = 50
"""So many suspects are looked at to say how good the list is."""
_FOLDS = 5
_STRENGTH = 0.003
_ITERATIONS = 300
_SHOWN = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A picture whose label is probably wrong."""

    rank: int
    """From 1, the most suspicious."""
    row: int
    """In the data set."""
    image_sha256: str
    image_phash: str
    given: str
    suggested: str
    probability: float
    """Of the given label, by a model that did not see the picture."""
    confident: bool
    """Whether confident learning counts it as wrong; the others are merely disputed."""


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that are copies of each other."""

    rows: tuple[int, ...]
    labels: tuple[str, ...]

    @property
    def contradicts(self) -> bool:
        """Whether one picture is there under several labels."""
        return len(set(self.labels)) > 1


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found."""

    n: int
    """Readable pictures."""
    unreadable: tuple[tuple[int, str], ...]
    """Rows and reasons."""
    exact: tuple[Group, ...]
    """Equal bytes."""
    near: tuple[Group, ...]
    """Looking the same; exact ones are among them."""
    accuracy: float
    """Of the cross-validated linear model, against the labels as they are."""
    suspects: tuple[Suspect, ...]

    def as_dict(self) -> dict[str, Any]:
        """The counts, for JSON."""
        return {
            "n": self.n,
            "unreadable": len(self.unreadable),
            "exact_duplicates": _count(self.exact),
            "near_duplicates": _count(self.near),
            "contradictions": [asdict(group) for group in self.near if group.contradicts],
            "cross_validated_accuracy": self.accuracy,
            "suspects": len(self.suspects),
            "confident_suspects": sum(suspect.confident for suspect in self.suspects),
        }


def audit(
    data: str, frozen: Frozen, out: Path, *, revision: str | None = None, overlay: Overlay | None = None
) -> dict[str, Any]:
    """Audit a data set, and write `audit.json`, `suspects.csv`, `duplicates.csv`, `unreadable.csv` and `suspects.html`.

    Args:
        data: A Hub data set id or a folder.
        frozen: The network whose features the linear model sees.
        out: A folder; the features are kept there, so that a second audit is quick.
        revision: The Hub revision of `data`.
        overlay: What a person said about earlier suspects; gives the precision of the first 50.

    Returns:
        What is in `audit.json`.

    Raises:
        DataError: the data cannot be used.
        SettingsError: the folder cannot be written.
        ModelError, HubError: see `open_source` and `create_network`.
    """
    source = open_source(data, revision=revision)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"--out {out} cannot be made: {error.strerror}.") from None
    examples = read_examples(source)
    require_every_label(examples)
    features = frozen_features(examples, frozen, cache=out / "features.npz")
    found = examine(examples, features)
    result = {
        "data": {"name": source.title, "revision": source.revision, "sha256": examples.digest},
        **found.as_dict(),
        **({} if overlay is None else {"reviewed": precision(found.suspects, overlay)}),
    }
    _write(out, examples, found, result)
    return result


def examine(examples: Examples, features: Features) -> Audit:
    """Duplicates and suspects among examples, given their features (n, width)."""
    groups = group_near_duplicates(examples.hashes)
    probabilities = cross_validate(features, examples.labels, groups)
    return Audit(
        n=len(examples),
        unreadable=_unreadable(examples),
        exact=_groups(examples, np.unique(examples.digests, return_inverse=True)[1]),
        near=_groups(examples, groups),
        accuracy=float((probabilities.argmax(axis=1) == examples.labels).mean()),
        suspects=find_suspects(examples, probabilities),
    )


def cross_validate(features: Features, labels: Labels, groups: npt.NDArray[np.int64]) -> Floats:
    """Probabilities (n, labels) of each picture by a logistic regression fitted without it or any copy of it.

    Raises:
        DataError: a label has fewer distinct pictures than there are folds.
    """
    scarce = [label for label in np.unique(labels) if len(np.unique(groups[labels == label])) < _FOLDS]
    if scarce:
        raise DataError(
            f"Label number {scarce[0]} has fewer than {_FOLDS} distinct pictures, too few to cross-validate."
        )
    probabilities = np.zeros((len(labels), int(labels.max()) + 1))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    for fit, judged in folds.split(features, labels, groups):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=_STRENGTH, max_iter=_ITERATIONS))
        model.fit(features[fit], labels[fit])
        probabilities[judged] = model.predict_proba(features[judged])
    return probabilities


def find_suspects(examples: Examples, probabilities: Floats) -> tuple[Suspect, ...]:
    """Likely wrong labels, most suspicious first; `probabilities` (n, labels) are of models that did not see them."""
    disputed = find_label_issues(
        examples.labels,
        probabilities,
        filter_by="predicted_neq_given",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    confident = find_label_issues(examples.labels, probabilities, filter_by="confident_learning", n_jobs=1)
    names = examples.source.labels
    return tuple(
        Suspect(
            rank=rank,
            row=int(examples.rows[index]),
            image_sha256=examples.digests[index],
            image_phash=examples.hashes[index].tobytes().hex(),
            given=names[examples.labels[index]],
            suggested=names[probabilities[index].argmax()],
            probability=float(probabilities[index, examples.labels[index]]),
            confident=bool(confident[index]),
        )
        for rank, index in enumerate(disputed, start=1)
    )


def precision(suspects: tuple[Suspect, ...], overlay: Overlay) -> dict[str, Any]:
    """How many of the first 50 suspects a person found wrong, unanswerable or both, with a 95% interval."""
    known = overlay.by_digest()
    verdicts = [known[each.image_sha256].verdict for each in suspects[:FIRST] if each.image_sha256 in known]
    confirmed = sum(verdict != "right" for verdict in verdicts)
    return {
        "of_the_first": FIRST,
        "looked_at": len(verdicts),
        "verdicts": dict(Counter(verdicts)),
        "precision": confirmed / len(verdicts) if verdicts else None,
        "interval": wilson(confirmed, len(verdicts)) if verdicts else None,
    }


def _unreadable(examples: Examples) -> tuple[tuple[int, str], ...]:
    """Rows that could not be decoded, decoded once more for the reason."""
    left_out = sorted(set(range(len(examples.source))) - set(examples.rows.tolist()))
    reasons = map_rows(examples.source, lambda *_: "", left_out)
    return tuple(zip(left_out, reasons, strict=True))


def _groups(examples: Examples, numbers: npt.NDArray[np.int64]) -> tuple[Group, ...]:
    """Those with more than one picture."""
    order = np.argsort(numbers, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    names = examples.source.labels
    return tuple(
        Group(tuple(examples.rows[part].tolist()), tuple(names[label] for label in examples.labels[part]))
        for part in parts
        if len(part) > 1
    )


def _count(groups: tuple[Group, ...]) -> dict[str, int]:
    return {"groups": len(groups), "pictures": sum(len(group.rows) for group in groups)}


def _write(out: Path, examples: Examples, found: Audit, result: dict[str, Any]) -> None:
    (out / "audit.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    _write_csv(out / "suspects.csv", list(Suspect.__slots__), [list(asdict(each).values()) for each in found.suspects])
    duplicates = [
        (number, row, label)
        for number, group in enumerate(found.near)
        for row, label in zip(group.rows, group.labels, strict=True)
    ]
    _write_csv(out / "duplicates.csv", ["group", "row", "label"], duplicates)
    _write_csv(out / "unreadable.csv", ["row", "reason"], list(found.unreadable))
    exhibits = [
        Exhibit(
            each.row,
            f"{each.rank}. {each.given}? rather {each.suggested} (given label {each.probability:.3f}), row {each.row}",
        )
        for each in found.suspects[:_SHOWN]
    ]
    write_page(
        out / "suspects.html", page(f"Suspicious labels of {examples.source.title}", gallery(examples.source, exhibits))
    )
    _log.info("%s: see suspects.html, and suspects.csv for the hashes that an overlay needs", out)


def _write_csv(path: Path, columns: list[str], rows: list[Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)

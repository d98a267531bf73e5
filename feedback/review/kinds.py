"""Kinds of picture among the answers: what the model is systematically wrong about, and where more answers help.

A kind is a trait (dark, grey, blurred, compressed, turned, small, oblong, of neither label) or a group that the model's
own features form. People report mistakes far more often than right predictions, so the share of mistakes among answers
says little. A kind is called systematic if corrections show it more often than pictures do that nobody chose for being
wrong: the random sample, or confirmations where there is no sample.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from catdog.errors import ImageError, ModelError
from catdog.images.decode import decode_image
from catdog.images.traits import TRAIT_NAMES, named_traits
from catdog.model.metadata import NEITHER, UNSURE
from catdog.model.model import Model
from catdog.model.preprocessing import preprocess
from feedback.decision import ReviewedRow, Status
from feedback.review.needed import corrections_needed, fisher, sign_test, wilson
from feedback.row import SHADOW, FeedbackRow

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

LEVEL = 0.01
"""What the gate's first look at a challenger asks for."""
SYSTEMATIC = 0.05
"""Of all kinds together, this is the chance that one is called systematic by accident."""
LEAST_CORRECTIONS = 5
LEAST_SAMPLE = 20

TURNED = "turned"
_SURER_WHEN_TURNED = 0.2
_GROUP_OF = 25
_MOST_GROUPS = 8
_ROUNDS = 30
ALL = "all"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answered:
    """One picture that somebody answered, or of the random sample."""

    row_id: str
    status: Status
    revision: str
    """Of the model that predicted."""
    predicted: str
    """The likeliest label; `neither` where the page said so, or a person does."""
    label: str
    """The one that counts; `unsure` for a picture of the sample without a label."""
    is_sample: bool
    traits: frozenset[str]
    features: Floats | None
    """What the network sees, shape (d,); None if it does not tell."""
    image: bytes
    shadow: tuple[str, str, str] | None = None
    """Revision of a challenger in shadow that disagreed with the model, its label, and the model's."""

    @property
    def is_labelled(self) -> bool:
        """Whether it says if the model was right."""
        return self.label != UNSURE

    @property
    def is_wrong(self) -> bool:
        """Whether the model was."""
        return self.is_labelled and self.label != self.predicted


@dataclass(frozen=True, slots=True)
class Kind:
    """What the answers say about one kind of picture."""

    name: str
    answers: int
    """Labelled pictures."""
    corrections: int
    accepted: int
    """Corrections that retraining may use."""
    reference: int
    """Pictures of the reference (random sample, or confirmations) that are of this kind."""
    reference_n: int
    """All pictures of the reference."""
    error_rate: float | None
    """In the random sample, where it has pictures of this kind with a label; else None."""
    low: float | None
    high: float | None
    """95% interval of that rate."""
    p: float
    """How likely so many corrections of this kind are if they were like the reference."""
    systematic: bool
    more_needed: int
    """Accepted corrections that are missing until a challenger that removes 30% of the mistakes passes the gate in four
    of five cases; 0 if there are enough."""


@dataclass(frozen=True, slots=True)
class Point:
    """The answers about one revision's predictions for one kind of picture."""

    revision: str
    kind: str
    answers: int
    wrong: int
    low: float
    high: float
    """95% interval of the share that was wrong."""
    regressed: bool
    """Whether it was wrong more often than the revision before, beyond chance (p < 0.05)."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Labelled answers about pictures for which a challenger in shadow and the live model disagreed."""

    revision: str
    """The challenger's."""
    answers: int
    challenger_right: int
    model_right: int
    p: float
    """Sign test, one-sided: how likely so many are if the challenger is no better."""


@dataclass(frozen=True, slots=True)
class KindReport:
    """All kinds, the systematic ones first."""

    kinds: tuple[Kind, ...]
    members: Mapping[str, tuple[Answered, ...]]
    curve: tuple[Point, ...]
    """By revision, oldest first."""
    reference: str
    """`random sample` or `confirmations`."""
    unsure: int
    """Answers with no label: they teach nothing."""
    error_rate: tuple[int, int]
    """Wrong and labelled pictures of the random sample."""
    shadow: tuple[Disagreement, ...] = ()
    """Of each challenger that ran in shadow."""

    def as_frame(self) -> "pd.DataFrame":
        """A line per kind; needs pandas."""
        import pandas as pd  # noqa: PLC0415 - large, and optional

        return pd.DataFrame([asdict(each) for each in self.kinds])

    def order(self) -> list[str]:
        """Pending rows, the ones that bring the gate nearest to a decision first."""
        found: dict[str, None] = {}
        for kind in sorted(self.kinds, key=lambda each: (not each.systematic, each.more_needed == 0, each.more_needed)):
            if kind.systematic:
                pending = (each for each in self.members[kind.name] if each.status is Status.PENDING)
                found |= dict.fromkeys(each.row_id for each in sorted(pending, key=lambda each: not each.is_wrong))
        return list(found)


def look_at(reviewed: Iterable[ReviewedRow], model: Model) -> list[Answered]:
    """Measure the pictures of all rows that were not rejected; damaged ones are left out."""
    found = []
    for each in reviewed:
        if each.status is Status.REJECTED:
            continue
        try:
            image = decode_image(each.row.image)
        except ImageError:
            continue
        found.append(_answered(each, image, model))
    return found


def find_kinds(answered: Sequence[Answered], *, level: float = LEVEL) -> KindReport:
    """Find the kinds, and judge each.

    Args:
        answered: See `look_at`.
        level: What the gate asks for.
    """
    members = _members(answered)
    sample = [each for each in answered if each.is_sample]
    has_sample = len(sample) >= LEAST_SAMPLE
    reference = sample if has_sample else [each for each in answered if each.is_labelled and not each.is_wrong]
    corrections = [each for each in answered if each.is_wrong and not each.is_sample]
    judge = _Judge(len(corrections), reference, needed=corrections_needed(level), kinds=len(members))
    kinds = [judge(name, some) for name, some in members.items()]
    labelled = [each for each in sample if each.is_labelled]
    return KindReport(
        kinds=tuple(sorted(kinds, key=lambda each: (not each.systematic, each.p, -each.corrections))),
        members=members,
        curve=tuple(_curve(answered, members)),
        reference="random sample" if has_sample else "confirmations",
        unsure=sum(not each.is_labelled and not each.is_sample for each in answered),
        error_rate=(sum(each.is_wrong for each in labelled), len(labelled)),
        shadow=tuple(_disagreements(answered)),
    )


@dataclass(frozen=True, slots=True)
class _Judge:
    """Compares kinds with the reference."""

    corrections: int
    reference: Sequence[Answered]
    needed: int
    kinds: int

    def __call__(self, name: str, members: Sequence[Answered]) -> Kind:
        wrong = [each for each in members if each.is_wrong and not each.is_sample]
        ids = {each.row_id for each in members}
        there = sum(each.row_id in ids for each in self.reference)
        p = fisher(len(wrong), self.corrections, there, len(self.reference))
        accepted = sum(each.status is Status.ACCEPTED for each in wrong)
        sample = [each for each in members if each.is_sample and each.is_labelled]
        low, high = wilson(sum(each.is_wrong for each in sample), len(sample)) if sample else (None, None)
        return Kind(
            name=name,
            answers=sum(each.is_labelled for each in members),
            corrections=len(wrong),
            accepted=accepted,
            reference=there,
            reference_n=len(self.reference),
            error_rate=sum(each.is_wrong for each in sample) / len(sample) if sample else None,
            low=low,
            high=high,
            p=p,
            systematic=len(wrong) >= LEAST_CORRECTIONS and p < SYSTEMATIC / max(1, self.kinds),
            more_needed=max(0, self.needed - accepted),
        )


def _answered(each: ReviewedRow, image: "Image.Image", model: Model) -> Answered:
    row = each.row
    label = UNSURE if row.is_audit and each.status is not Status.ACCEPTED else each.label
    try:
        features = model.features([preprocess(image, model.metadata.preprocessing)])[0].astype(np.float64)
    except ModelError:
        features = None
    traits = [*named_traits(image), *([TURNED] if _is_turned(image, model) else [])]
    return Answered(
        row_id=row.id,
        status=each.status,
        revision=row.model_revision,
        predicted=row.verdict if NEITHER in {label, row.verdict} else row.predicted_label,
        label=label,
        is_sample=row.is_audit,
        traits=frozenset([*traits, *([NEITHER] if label == NEITHER else [])]),
        features=features,
        image=row.image,
        shadow=_shadow(row),
    )


def _shadow(row: FeedbackRow) -> tuple[str, str, str] | None:
    said = json.loads(row.extra).get(SHADOW)
    if not isinstance(said, dict):
        return None
    return str(said.get("model_revision")), str(said.get("label")), row.predicted_label


def _disagreements(answered: Sequence[Answered]) -> Iterable[Disagreement]:
    known = [(each, each.shadow) for each in answered if each.shadow and each.is_labelled]
    for revision in sorted({shadow[0] for _, shadow in known}):
        some = [(each.label, shadow[1], shadow[2]) for each, shadow in known if shadow[0] == revision]
        won = sum(label == challenger for label, challenger, _ in some)
        lost = sum(label == champion for label, _, champion in some)
        yield Disagreement(revision, len(some), won, lost, sign_test(won, lost))


def _is_turned(image: "Image.Image", model: Model) -> bool:
    """Whether the model is clearly surer of the picture when that is turned by a right angle, or upside down."""
    spec = model.metadata.preprocessing
    views = [preprocess(image.rotate(angle, expand=True), spec) for angle in (0, 90, 180, 270)]
    upright, *turned = (each.confidence for each in model.predict_batch(views))
    return max(turned) > upright + _SURER_WHEN_TURNED


def _members(answered: Sequence[Answered]) -> dict[str, tuple[Answered, ...]]:
    """Traits that occur, then groups by features."""
    found = {name: tuple(each for each in answered if name in each.traits) for name in (*TRAIT_NAMES, TURNED, NEITHER)}
    known = [each for each in answered if each.features is not None]
    if known:
        groups = _cluster(np.array([each.features for each in known]))
        for number in np.unique(groups).tolist():
            found[f"group {number + 1}"] = tuple(
                each for each, group in zip(known, groups.tolist(), strict=True) if group == number
            )
    return {name: members for name, members in found.items() if members}


def _cluster(features: Floats) -> npt.NDArray[np.int64]:
    """Groups of similar pictures by k-means on directions: shape (n,). The same rows give the same groups."""
    count = min(_MOST_GROUPS, len(features) // _GROUP_OF)
    if count < 2:  # noqa: PLR2004
        return np.zeros(len(features), dtype=np.int64)
    directions = features - features.mean(axis=0)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    centres = _far_apart(directions, count)
    groups = np.zeros(len(features), dtype=np.int64)
    for _ in range(_ROUNDS):
        before, groups = groups, (directions @ centres.T).argmax(axis=1).astype(np.int64)
        if (before == groups).all():
            break
        sums = np.array([directions[groups == number].sum(axis=0) for number in range(count)])
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return groups


def _far_apart(directions: Floats, count: int) -> Floats:
    """The first picture, then again and again the one that is least like those chosen."""
    chosen = [0]
    nearest = directions @ directions[0]
    while len(chosen) < count:
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, directions @ directions[chosen[-1]])
    return directions[chosen]


def _curve(answered: Sequence[Answered], members: Mapping[str, Sequence[Answered]]) -> Iterable[Point]:
    """Row ids sort by time, so the first row of a revision says when it came."""
    first: dict[str, str] = {}
    for each in sorted(answered, key=lambda each: each.row_id):
        first.setdefault(each.revision, each.row_id)
    for kind, some in {ALL: answered, **members}.items():
        before: tuple[int, int] | None = None
        for revision in sorted(first, key=first.__getitem__):
            labelled = [each for each in some if each.revision == revision and each.is_labelled]
            if not labelled:
                continue
            wrong, n = sum(each.is_wrong for each in labelled), len(labelled)
            low, high = wilson(wrong, n)
            worse = before is not None and fisher(wrong, n, *before) < 0.05  # noqa: PLR2004
            yield Point(revision, kind, n, wrong, low, high, worse)
            before = (wrong, n)


def as_records(report: KindReport) -> list[dict[str, Any]]:
    """A dict per kind, for CSV and JSON."""
    return [asdict(each) for each in report.kinds]

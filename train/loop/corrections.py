"""From accepted feedback to examples to learn from: one for each picture.

People send the same picture more than once, disagree, and may try to shift the model. So near-identical pictures form
one group, each client has one vote in it, the label with the most votes wins, and a tie teaches nothing.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from catdog.errors import ImageError
from catdog.images.decode import decode_image
from catdog.images.phash import Fingerprint, fingerprint, group_near_duplicates, pack
from catdog.model.metadata import NEITHER, UNSURE
from feedback.votes import votes
from train.data.splits import Manifest, seen_splits
from train.gate.evidence import Asked
from train.loop.accepted import AcceptedRow


@dataclass(frozen=True, slots=True)
class Earlier:
    """Row ids of the feedback that the base model was trained with."""

    trained: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Correction:
    """One picture and what people say it is."""

    image: bytes
    """As sent last."""
    label: str
    row_ids: tuple[str, ...]
    """The rows that say so."""
    phash: str
    certain: str
    """Which bits of the hash are, see `fingerprint`."""
    asked: Asked = Asked.VOLUNTEERED

    @property
    def digest(self) -> str:
        """SHA-256 of the picture's bytes."""
        return hashlib.sha256(self.image).hexdigest()


@dataclass(frozen=True, slots=True)
class Corrections:
    """What became of every accepted row."""

    answers: tuple[Correction, ...]
    """New to the base model: learned from, and by cross-fitting judged by."""
    rehearsed: tuple[Correction, ...]
    """The base model was trained with these already: learned from again, never judged by."""
    neither: tuple[Correction, ...]
    """Pictures of none of the labels: for the rule that says "neither", never for the classifier."""
    neither_rehearsed: tuple[Correction, ...]
    """The base model's rule has learned these already."""
    left_out: Mapping[str, tuple[str, ...]]
    """From a reason to row ids: damaged, repeated, contradicting, outvoted, unsure, unknown_label, near_test,
    near_validation."""


@dataclass(frozen=True, slots=True)
class _Readable:
    row: AcceptedRow
    fingerprint: Fingerprint


def select_corrections(
    rows: Sequence[AcceptedRow],
    *,
    labels: Sequence[str],
    manifest: Manifest,
    earlier: Earlier,
) -> Corrections:
    """Decide for every accepted row what it is good for.

    Args:
        rows: Accepted, oldest first.
        labels: Of the model.
        manifest: Of the model's splits; pictures near its test and validation pictures are left out.
        earlier: What the base model was made with.
    """
    left_out: dict[str, list[str]] = defaultdict(list)
    found: list[Correction] = []
    for group in _groups(_readable(rows, left_out)):
        correction = _settle(group, labels, left_out)
        if correction is not None:
            found.append(correction)
    neither = [each for each in found if each.label == NEITHER]
    usable = _apart_from_splits([each for each in found if each.label != NEITHER], manifest, left_out)
    known, new = _part(usable, earlier)
    neither_known, neither_new = _part(neither, earlier)
    return Corrections(
        answers=new,
        rehearsed=known,
        neither=neither_new,
        neither_rehearsed=neither_known,
        left_out={reason: tuple(ids) for reason, ids in left_out.items()},
    )


def _readable(rows: Iterable[AcceptedRow], left_out: dict[str, list[str]]) -> list[_Readable]:
    """The rows whose picture is what was saved; its hash is taken anew, for rows may come from anywhere."""
    readable = []
    for row in rows:
        try:
            if hashlib.sha256(row.image).hexdigest() == row.image_sha256:
                readable.append(_Readable(row, fingerprint(decode_image(row.image))))
                continue
        except ImageError:
            pass
        left_out["damaged"].append(row.id)
    return readable


def _groups(readable: Sequence[_Readable]) -> list[list[_Readable]]:
    """Near-identical pictures together, oldest first."""
    if not readable:
        return []
    groups: dict[int, list[_Readable]] = defaultdict(list)
    numbers = group_near_duplicates(pack([each.fingerprint.phash for each in readable]))
    for number, each in zip(numbers.tolist(), readable, strict=True):
        groups[number].append(each)
    return list(groups.values())


def _settle(group: Sequence[_Readable], labels: Sequence[str], left_out: dict[str, list[str]]) -> Correction | None:
    """Let the clients vote on one picture; None if nothing can be learned from it."""
    ids = [row.id for row in votes(each.row for each in group)]
    voting = [each for each in group if each.row.id in ids]
    left_out["repeated"] += [each.row.id for each in group if each.row.id not in ids]
    counts = Counter(vote.row.corrected_label for vote in voting).most_common(2)
    label = counts[0][0]
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        left_out["contradicting"] += ids
    elif label == UNSURE:
        left_out["unsure"] += ids
    elif label not in (*labels, NEITHER):
        left_out["unknown_label"] += ids
    else:
        winners = [vote for vote in voting if vote.row.corrected_label == label]
        left_out["outvoted"] += [vote.row.id for vote in voting if vote not in winners]
        winners.sort(key=lambda vote: vote.row.id)
        newest_row = winners[-1]
        newest = newest_row.fingerprint
        row_ids = tuple(vote.row.id for vote in winners)
        return Correction(newest_row.row.image, label, row_ids, newest.phash, newest.certain, _asked(group))
    return None


def _asked(group: Sequence[_Readable]) -> Asked:
    """A picture of the random sample stays one, whoever answers it besides."""
    ways = {each.row.asked for each in group}
    return next(way for way in (Asked.SAMPLE, Asked.SHADOW, Asked.VOLUNTEERED) if way in ways)


def _apart_from_splits(
    corrections: Sequence[Correction], manifest: Manifest, left_out: dict[str, list[str]]
) -> list[Correction]:
    """Without pictures near those that choose or judge a model: feedback must not leak into them."""
    if not corrections:
        return []
    hashes, certain = pack([each.phash for each in corrections]), pack([each.certain for each in corrections])
    seen = seen_splits(hashes, manifest, certain)
    kept = []
    for split, each in zip(seen.tolist(), corrections, strict=True):
        if split in ("test", "validation"):
            left_out[f"near_{split}"] += each.row_ids
        else:
            kept.append(each)
    return kept


def _part(corrections: Sequence[Correction], earlier: Earlier) -> tuple[tuple[Correction, ...], tuple[Correction, ...]]:
    """Those that the base model was trained with, and those that are new to it."""
    known = tuple(each for each in corrections if earlier.trained.intersection(each.row_ids))
    return known, tuple(each for each in corrections if not earlier.trained.intersection(each.row_ids))

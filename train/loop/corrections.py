"""From accepted feedback to pictures to learn from and pictures to be judged by: one example for each picture.

People send the same picture more than once, disagree, and may try to shift the model. So near-identical pictures form
one group, each client has one vote in it, the label with most votes wins, and a tie teaches nothing.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from catdog.errors import ImageError
from catdog.images.decode import decode_image
from catdog.images.phash import Fingerprint, fingerprint, group_near_duplicates, pack
from catdog.model.metadata import NEITHER, UNSURE
from feedback.votes import votes
from train.data.splits import Manifest, seen_splits
from train.loop.accepted import AcceptedRow


@dataclass(frozen=True, slots=True)
class HoldOut:
    """Which share of the new pictures is kept from training, to judge by."""

    share: float = 0.2
    least: int = 30
    """Where the share is fewer, so many; but never more than half."""
    most_share: float = 0.5


@dataclass(frozen=True, slots=True)
class Earlier:
    """Row ids of the feedback that the base model was made with."""

    trained: frozenset[str] = frozenset()
    held_out: frozenset[str] = frozenset()


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


@dataclass(frozen=True, slots=True)
class Corrections:
    """What became of every accepted row."""

    training: tuple[Correction, ...]
    held_out: tuple[Correction, ...]
    neither: tuple[Correction, ...]
    """Pictures of none of the labels: for the rule that says "neither", never for the classifier."""
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
    hold_out: HoldOut,
) -> Corrections:
    """Decide for every accepted row what it is good for.

    What an earlier round held out stays held out, and what it trained on is never used to judge. The choice among new
    pictures follows from their content alone, so that repeating it gives the same.

    Args:
        rows: Accepted, oldest first.
        labels: Of the model.
        manifest: Of the model's splits; pictures near its test and validation pictures are left out.
        earlier: What the base model was made with.
        hold_out: How many to hold out.
    """
    left_out: dict[str, list[str]] = defaultdict(list)
    found: list[Correction] = []
    for group in _groups(_readable(rows, left_out)):
        correction = _settle(group, labels, left_out)
        if correction is not None:
            found.append(correction)
    neither = tuple(each for each in found if each.label == NEITHER)
    usable = _apart_from_splits([each for each in found if each.label != NEITHER], manifest, left_out)
    held_out = _choose_held_out(usable, earlier, hold_out)
    return Corrections(
        training=tuple(each for each in usable if each.row_ids not in held_out),
        held_out=tuple(each for each in usable if each.row_ids in held_out),
        neither=neither,
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
        return Correction(newest_row.row.image, label, row_ids, newest.phash, newest.certain)
    return None


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


def _choose_held_out(corrections: Sequence[Correction], earlier: Earlier, rule: HoldOut) -> set[tuple[str, ...]]:
    """The row ids of the pictures to judge by."""
    old = [each for each in corrections if earlier.held_out.intersection(each.row_ids)]
    new = [each for each in corrections if not (earlier.held_out | earlier.trained).intersection(each.row_ids)]
    wanted = min(max(math.ceil(rule.share * len(new)), rule.least), int(rule.most_share * len(new)))
    new.sort(key=lambda each: hashlib.sha256(each.phash.encode()).digest())
    return {each.row_ids for each in (*old, *new[:wanted])}

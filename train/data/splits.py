"""Train, validation and test: near-duplicates stay together, and the assignment is repeatable."""

import csv
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from catdog.cli import counted
from catdog.errors import DataError, ModelError
from catdog.images.phash import Hashes, group_near_duplicates, pack, same_pictures
from train.data.examples import Examples
from train.data.overlay import Clean, Overlay, clean_labels

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
Manifest = Mapping[str, Split]
"""From a perceptual hash to its split."""

_SHARE = 0.1  # of validation, and of test
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Divided:
    """Examples and the split of each."""

    examples: Examples
    splits: npt.NDArray[np.str_]
    """Shape (n,)."""
    clean: Clean | None = None
    """What an overlay corrects, in training and validation; the test split stays as it was published."""

    def members(self, split: Split) -> npt.NDArray[np.int64]:
        """Indices of the examples in one split; what the overlay drops is in none but test."""
        chosen = self.splits == split
        if self.clean is not None and split != "test":
            chosen &= self.clean.kept
        return np.flatnonzero(chosen)

    def rows(self, split: Split) -> list[int]:
        """Their rows in the source."""
        rows: list[int] = self.examples.rows[self.members(split)].tolist()
        return rows

    def labels(self, split: Split) -> npt.NDArray[np.int64]:
        """Their labels."""
        all_labels = self.examples.labels if split == "test" else self.training_labels
        return all_labels[self.members(split)]

    @property
    def training_labels(self) -> npt.NDArray[np.int64]:
        """Shape (n,): of all examples, as training and validation see them."""
        return self.examples.labels if self.clean is None else self.clean.labels

    @property
    def counts(self) -> dict[str, int]:
        """How many each split has."""
        return {split: len(self.members(split)) for split in SPLITS}


def divide(
    examples: Examples, *, seed: int, manifest: Manifest | None = None, overlay: Overlay | None = None
) -> Divided:
    """Split examples; see `assign_splits`. Where the data's folders name the splits, these are kept.

    Args:
        examples: What to split.
        seed: For pictures that the manifest does not know.
        manifest: An earlier model's split: its pictures, and their near-duplicates, keep theirs.
        overlay: Corrections of the labels; they do not change who is in which split.
    """
    if examples.source.given:
        splits = _as_given(examples, seed)
        if manifest is not None:
            seen = seen_splits(examples.hashes, manifest, examples.certain)
            splits = np.where(seen == "", splits, seen)
    else:
        splits = assign_splits(examples.hashes, examples.labels, seed=seed, earlier=manifest, certain=examples.certain)
    return Divided(examples, splits, None if overlay is None else clean_labels(examples, overlay))


def _as_given(examples: Examples, seed: int) -> npt.NDArray[np.str_]:
    """The splits that the data's folders name; one that is missing is drawn from the training pictures.

    Training pictures that a judging split holds too, as they are or nearly, are in no split.
    """
    given = np.array(examples.source.given, dtype="<U10")[examples.rows]
    splits = given.copy()
    if missing := [split for split in ("validation", "test") if split not in given]:
        train = given == "train"
        drawn = assign_splits(examples.hashes[train], examples.labels[train], seed=seed)
        splits[train] = np.where(np.isin(drawn, missing), drawn, "train")
    groups = group_near_duplicates(examples.hashes)
    judging = np.isin(groups, groups[splits == "test"]) & (splits != "test")
    judging |= np.isin(groups, groups[splits == "validation"]) & (splits == "train")
    if judging.any():
        _log.warning("%s left out: the folders hold them for judging too", counted(int(judging.sum()), "picture"))
    splits[judging] = ""
    if empty := [split for split in SPLITS if not (splits == split).any()]:
        raise DataError(f"{examples.source.name} has no picture for {', '.join(empty)}. Add some to that folder.")
    taught = set(examples.labels[splits == "train"].tolist())
    if untaught := [name for number, name in enumerate(examples.source.labels) if number not in taught]:
        raise DataError(
            f"{examples.source.name} has no training picture of {', '.join(untaught)}. Add some to the folder train, "
            "or remove the label."
        )
    return splits


def restore(examples: Examples, manifest: Manifest, made_with: Mapping[str, Any] | None = None) -> Divided:
    """Examples in the splits that a model's manifest says.

    Those that it does not know are in none: they might be test pictures that cannot be recognised. `made_with` is what
    the model's metadata say of its data; a warning says where these differ.

    Raises:
        DataError: a split is left with none, so these are not the pictures that the model was made with.
    """
    data = Divided(examples, seen_splits(examples.hashes, manifest, examples.certain))
    warn_of_other_data(examples, data.splits, manifest, made_with)
    if missing := [split for split, count in data.counts.items() if not count]:
        raise DataError(
            f"{examples.source.name} has no picture of the model's split {', '.join(missing)}. Use the data that it "
            "was trained with."
        )
    return data


def assign_splits(
    hashes: Hashes,
    labels: npt.NDArray[np.int64],
    *,
    seed: int,
    earlier: Manifest | None = None,
    certain: Hashes | None = None,
) -> npt.NDArray[np.str_]:
    """Split 80/10/10 within each label, by groups of near-duplicates.

    Groups are ordered by a keyed hash of their content, so the result depends on the pictures and the seed alone, not
    on the order of the rows. Pictures of an earlier manifest, and their copies, keep the split that they had.
    `certain` is of the hashes, see `fingerprint`.

    Returns:
        Array of shape (n,) of "train", "validation" or "test".

    Raises:
        DataError: a label has fewer than three groups, so one split would lack it.
    """
    order = np.lexsort((labels, *hashes.T))
    splits = np.empty(len(labels), dtype="<U10")
    splits[order] = _assign_sorted(hashes[order], labels[order], seed)
    if earlier is None:
        return splits
    seen = seen_splits(hashes, earlier, certain)
    return np.where(seen == "", splits, seen)


def _assign_sorted(hashes: Hashes, labels: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.str_]:
    groups = group_near_duplicates(hashes)
    splits = np.full(len(labels), "train", dtype="<U10")
    for label in np.unique(labels):
        distinct = len(np.unique(groups[labels == label]))
        if distinct < len(SPLITS):
            raise DataError(
                f"Label number {label} has only {distinct} distinct pictures; training, validation and test need one "
                "each. Add more pictures."
            )
        mine = np.unique(groups[labels[groups] == label])  # a group under two labels belongs to its first picture's
        quota = max(1, round(_SHARE * int(np.isin(groups, mine).sum())))
        _fill(splits, groups, sorted(mine.tolist(), key=lambda group: _order(hashes[group], seed)), quota)
    return splits


def write_manifest(path: Path, hashes: Hashes, splits: npt.NDArray[np.str_]) -> None:
    """Write `splits.csv`: one line a perceptual hash, sorted. Pictures that are in no split ("") are left out."""
    rows = sorted({(row.tobytes().hex(), str(split)) for row, split in zip(hashes, splits, strict=True) if split})
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("phash", "split"))
        writer.writerows(rows)


def read_manifest(path: Path) -> Manifest:
    """Read `splits.csv`.

    Raises:
        ModelError: it is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {_checked_hash(row["phash"]): _checked_split(row["split"]) for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise ModelError(f"The split manifest {path} cannot be used: {error}. Fetch the model again.") from None


def seen_splits(hashes: Hashes, manifest: Manifest, certain: Hashes | None = None) -> npt.NDArray[np.str_]:
    """Which split each picture, or a copy of it in any size, shape and compression, had when the model was made.

    Args:
        hashes: Shape (n, 4).
        manifest: The model's.
        certain: Shape (n, 4): which bits are certain, see `fingerprint`; more copies are recognised with it.

    Returns:
        Array of shape (n,) of "train", "validation", "test" or "" for a picture that the model never saw. With
        copies in several splits the one nearest to training counts.
    """
    ranks = np.array([SPLITS.index(split) for split in manifest.values()], dtype=np.int64)
    found = np.full(len(hashes), len(SPLITS))
    for row, known in same_pictures(hashes, pack(list(manifest)), certain):
        found[row] = min(found[row], ranks[known])
    names: npt.NDArray[np.str_] = np.array([*SPLITS, ""], dtype="<U10")[found]
    return names


def warn_of_other_data(
    examples: Examples, seen: npt.NDArray[np.str_], manifest: Manifest, made_with: Mapping[str, Any] | None
) -> None:
    """Say so where a data set is a model's own in part only: pictures, or their labels, are new, missing or changed.

    Args:
        examples: The data set.
        seen: From `seen_splits`.
        manifest: The model's.
        made_with: What its metadata say of the data it was made with: `sha256` and `n`; None if nothing.
    """
    new, known = int((seen == "").sum()), int((seen != "").sum())
    other = known * 2 < len(examples)  # than the model's altogether
    if other or (made_with or {}).get("sha256") == examples.digest:
        return
    before = (made_with or {}).get("n", len(manifest))
    if made_with is None and not new and known >= before:
        return
    _log.warning(
        "%s is not exactly the data that the model was made with: %s then, %d now, of which %d are not in the model's "
        "split manifest. Those count as unseen when it is evaluated, and are not used to train it further.",
        examples.source.name, counted(before, "picture"), len(examples), new,
    )  # fmt: skip


def _fill(splits: npt.NDArray[np.str_], groups: npt.NDArray[np.int64], ordered: list[int], quota: int) -> None:
    """Give test and validation whole groups up to the quota; the rest, and groups too large for it, stay in train."""
    room: dict[Split, int] = {"test": quota, "validation": quota}
    for group in ordered:
        members = groups == group
        size = int(members.sum())
        split: Split | None = next((name for name in room if room[name] >= size), None)
        if split is not None:
            splits[members] = split
            room[split] -= size
        if not any(room.values()):
            return


def _order(digest: npt.NDArray[np.uint64], seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {digest.tobytes().hex()}".encode()).digest()


def _checked_hash(text: str) -> str:
    if len(bytes.fromhex(text)) != 32:  # noqa: PLR2004
        raise ValueError(f"{text} is not a hash of 256 bits")
    return text


def _checked_split(text: str) -> Split:
    for split in SPLITS:
        if split == text:
            return split
    raise ValueError(f"{text} is not a split")

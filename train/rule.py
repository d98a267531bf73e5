"""Making the rule that says "neither", and taking it from one model to the next."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from catdog.errors import DataError, SettingsError
from catdog.metadata import ONNX_FILE, Metadata, NeitherRule, Preprocessing, hash_file, load_metadata
from train.branch import Head, branch_of, create_branch, head_of, joined, own_classes
from train.neither import (
    FOLDS,
    METHOD,
    NEAR_KINDS,
    TURNED_AWAY,
    cross_validate,
    fit_head,
    fit_threshold,
)
from train.network import RANDOM, create_network
from train.source import Source, open_outliers, source_of
from train.splits import Divided, Split
from train.views import Views, look_at
from train.weights import byte_weights

REFIT_STRENGTH = 0.1
_ODDS_EASE = 5.0
_REFIT_OWN = 2000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """How the rule is made."""

    outliers: str
    """A Hub data set or a folder of pictures of other things, with their kinds if it says them."""
    init: str
    """The backbone's weights: of a network that has seen many kinds of things, such as ImageNet's."""
    revision: str | None = None
    """Of `outliers`."""
    architecture: str = "tf_mobilenetv3_small_100"
    """Of the backbone."""
    side: int = 176
    """Of the copy of the picture that the backbone sees, in pixels."""
    near: tuple[str, ...] = NEAR_KINDS
    """Kinds whose rates are reported apart."""
    own: int = 4000
    """So many training pictures of the labels are enough."""
    own_crops: int = 1
    other_crops: int = 3
    strength: float = 0.1
    """Of the head's weight decay."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.init == RANDOM:
            raise SettingsError(
                "The rule for `neither` cannot start from random weights, which know nothing of other things. Name "
                "weights that were trained on many kinds, such as ImageNet's, with --init."
            )


@dataclass(frozen=True, slots=True)
class Rule:
    """What turns a classifier into one that knows when to say "neither"."""

    branch: onnx.ModelProto
    """Without the head; see `create_branch`."""
    head: Head
    max_score: float
    metrics: dict[str, Any]
    """Rates on kinds that it had not seen."""
    record: dict[str, Any]
    """What it was made from."""

    def add_to(self, path: Path) -> None:
        """Join it to the classifier of an ONNX file, in place of one that is there."""
        onnx.save(joined(onnx.load(path), self.branch, self.head), path)

    def noted_in(self, metadata: Metadata) -> Metadata:
        """The metadata with threshold, rates and origin."""
        verdict = metadata.verdict.model_copy(update={"neither": NeitherRule(max_score=self.max_score)})
        return metadata.model_copy(
            update={
                "verdict": verdict,
                "metrics": {**metadata.metrics, "neither": self.metrics},
                "training": {**metadata.training, "neither": self.record},
            }
        )


def make_rule(data: Divided, spec: Preprocessing, options: RuleOptions) -> Rule:
    """Fit head and threshold on all kinds, and measure them on kinds left out.

    Args:
        data: The labels' own pictures: of the training split some, of validation all.
        spec: How pictures become the classifier's input.
        options: Where the rest comes from.

    Raises:
        SettingsError, HubError: see `open_outliers` and `create_network`.
        DataError: there are too few pictures of other things.
        ModelError: the weights do not fit the architecture.
    """
    outliers = open_outliers(options.outliers, revision=options.revision)
    own = own_classes(data.examples.source.labels)
    backbone = create_network(options.architecture, labels=1000, init=options.init).eval()
    # The head is fitted to what the rounded weights give, so it need not be told.
    branch = byte_weights(create_branch(backbone, spec, side=options.side, own=own))
    train = _own(data, "train", branch, spec, crops=options.own_crops, most=options.own, seed=options.seed)
    validation = _own(data, "validation", branch, spec).served
    others, kinds = look_at(outliers, range(len(outliers)), branch, spec, crops=options.other_crops, seed=options.seed)
    names = kinds_of(outliers, kinds)
    ease = _ease(train.served.shape[1], bool(own))
    rates = cross_validate(train, validation, others, names, strength=options.strength, ease=ease).rates(options.near)
    for group, found in rates.items():
        _log.info("unseen %s kinds: %.1f %% turned away, AUROC %.3f", group, 100 * found["turned_away"], found["auroc"])
    head = fit_head(train.all, others.all, strength=options.strength, ease=ease)
    return Rule(
        branch=branch,
        head=head,
        max_score=fit_threshold(head.score(validation)),
        metrics={"method": METHOD, "folds": FOLDS, "turned_away_of_labels": TURNED_AWAY, **rates},
        record={**_record(options, outliers, len(others), len(set(names))), "odds": bool(own)},
    )


def next_rule(base: Path, data: Divided, pictures: Sequence[bytes]) -> Rule | None:
    """The rule of the model that follows `base`: its own, which learns from accepted pictures of other things.

    Where there are such pictures, the head is fitted to them, and its threshold set anew. The pictures that it was
    first fitted on are not there any more, so it is pulled towards what it was: one that it turns away already moves
    nothing, and the others move it no further than they must.

    Args:
        base: The model folder that it follows.
        data: The labels' own pictures.
        pictures: Encoded; where there are none the rule stays as it is.

    Returns:
        None if the base has no rule: then nothing is learned from the pictures.
    """
    metadata, model = load_metadata(base), onnx.load(base / ONNX_FILE)
    branch = branch_of(model)
    if metadata.verdict.neither is None or branch is None:
        if pictures:
            _log.warning("%d pictures of neither label teach nothing: the model has no rule for them. "
                         "`python -m train neither` makes one.", len(pictures))  # fmt: skip
        return None
    rule = Rule(
        branch=branch,
        head=head_of(model),
        max_score=metadata.verdict.neither.max_score,
        metrics=metadata.metrics.get("neither", {}),
        record=metadata.training.get("neither", {}),
    )
    return _refit(rule, data, pictures, metadata.preprocessing) if pictures else rule


def _refit(rule: Rule, data: Divided, pictures: Sequence[bytes], spec: Preprocessing) -> Rule:
    source = source_of("neither", pictures, [0] * len(pictures), ("neither",))
    others, _ = look_at(source, range(len(source)), rule.branch, spec, crops=3, seed=0)
    train = _own(data, "train", rule.branch, spec, crops=1, most=_REFIT_OWN)
    ease = _ease(len(rule.head.weight), rule.record.get("odds", False))
    head = fit_head(train.all, others.all, strength=REFIT_STRENGTH, ease=ease, start=rule.head)
    validation = _own(data, "validation", rule.branch, spec).served
    metrics = {**rule.metrics, "refitted_with": rule.metrics.get("refitted_with", 0) + len(others)}
    return replace(rule, head=head, max_score=fit_threshold(head.score(validation)), metrics=metrics)


def _ease(width: int, odds: bool) -> npt.NDArray[np.float64]:
    """How little each feature is held back: the backbone's own odds, which are last, carry more than any other."""
    ease = np.ones(width)
    if odds:
        ease[-1] = _ODDS_EASE
    return ease


def _own(  # noqa: PLR0913 - each is one thing
    data: Divided,
    split: Split,
    branch: onnx.ModelProto,
    spec: Preprocessing,
    *,
    crops: int = 0,
    most: int | None = None,
    seed: int = 0,
) -> Views:
    rows = data.rows(split)
    if most is not None and most < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False)).tolist()
    return look_at(data.examples.source, rows, branch, spec, crops=crops, seed=seed)[0]


def kinds_of(outliers: Source, kinds: npt.NDArray[np.int64]) -> list[str]:
    """The kind of each picture; where there are fewer kinds than folds, each picture is one of its own."""
    names = [outliers.labels[kind] for kind in kinds]
    if len(names) < 2 * FOLDS:
        raise DataError(
            f"{outliers.name} has {len(names)} readable pictures; {2 * FOLDS} are needed at least for a rule that says "
            "`neither`, and hundreds of many kinds for a good one."
        )
    if len(set(names)) >= FOLDS:
        return names
    _log.warning("%s has fewer than %d kinds: the rates are of unseen pictures, not kinds", outliers.name, FOLDS)
    return [f"{name} {index}" for index, name in enumerate(names)]


def _record(options: RuleOptions, outliers: Source, n: int, kinds: int) -> dict[str, Any]:
    weights = Path(options.init)
    folder = Path(options.outliers)
    return {
        "data": {
            "name": folder.resolve().name if folder.is_dir() else options.outliers,
            "revision": outliers.revision,
            "sha256": _digest(outliers),
            "n": n,
            "kinds": kinds,
        },
        "init": {
            "name": weights.name if weights.is_file() else options.init,
            "sha256": hash_file(weights) if weights.is_file() else None,
        },
        "architecture": options.architecture,
        "side": options.side,
        "near": [kind for kind in options.near if kind in outliers.labels],
        "strength": options.strength,
        "seed": options.seed,
    }


def _digest(source: Source) -> str:
    """One SHA-256 for all pictures with their kinds, whatever their order."""
    lines = [
        f"{hashlib.sha256(row.data or b'').hexdigest()} {'' if row.label is None else source.labels[row.label]}\n"
        for rows in source.batches()
        for row in rows
    ]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()

"""Making the rule that says "neither", and taking it from one model to the next."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from torch import nn

from catdog.errors import DataError, SettingsError
from catdog.model.metadata import Metadata, NeitherRule, Preprocessing, hash_file
from train.data.source import Source, open_outliers
from train.data.splits import Divided, Split
from train.network.backbone import has_trunk
from train.network.create import create_network
from train.network.weights import byte_weights
from train.ood.branch import (
    Head,
    create_branch,
    create_trunk,
    fit_adapter,
    joined,
    own_classes,
    through,
    trunk_size,
)
from train.ood.head import (
    FOLDS,
    METHOD,
    NEAR_KINDS,
    TURNED_AWAY,
    cross_validate,
    fit_head,
    fit_threshold,
)
from train.ood.views import Views, look_at
from train.options import RuleOptions

_ODDS_EASE = 5.0
_ADAPTER_OWN = 500
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rule:
    """What turns a classifier into one that knows when to say "neither"."""

    branch: onnx.ModelProto
    """Without the head; see `create_branch`. It fits one trunk."""
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


def make_rule(network: nn.Module, data: Divided, spec: Preprocessing, options: RuleOptions) -> Rule:
    """Fit adapter, head and threshold, and measure them on kinds left out.

    Args:
        network: The classifier, in evaluation mode.
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
    trunk, branch = _adapted(network, data, spec, options, own)
    seen = through(trunk, branch)
    train = _own(data, "train", seen, spec, crops=options.own_crops, most=options.own, seed=options.seed)
    validation = _own(data, "validation", seen, spec).served
    others, kinds = look_at(outliers, range(len(outliers)), seen, spec, crops=options.other_crops, seed=options.seed)
    names = kinds_of(outliers, kinds)
    near = options.near or NEAR_KINDS
    ease = ease_of(train.served.shape[1], odds=bool(own))
    rates = cross_validate(train, validation, others, names, strength=options.strength, ease=ease).rates(near)
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


def _adapted(
    network: nn.Module, data: Divided, spec: Preprocessing, options: RuleOptions, own: Sequence[int]
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The classifier's trunk, and the branch that goes on from there."""
    if not has_trunk(network):
        raise SettingsError("The rule for `neither` needs a network with stages. Use one of timm's MobileNetV3.")
    architecture = str(network.pretrained_cfg["architecture"])  # type: ignore[index]
    before = create_network(architecture, labels=1000, init=options.init).eval()
    if before.pretrained_cfg["architecture"] != architecture:  # type: ignore[index]
        raise SettingsError(f"--init {options.init} is not of the model's architecture. Name weights of its own.")
    trunk, wanted = (create_trunk(each, spec) for each in (network, before))
    # Of the labels' own pictures alone: a kind that is left out to measure must be unseen by all parts.
    shown = (_own(data, "train", each, spec, crops=1, most=_ADAPTER_OWN, seed=options.seed) for each in (trunk, wanted))
    adapter = fit_adapter(*(views.all for views in shown))
    # The head is fitted to what the rounded weights give, so it need not be told.
    return trunk, byte_weights(create_branch(before, adapter, size=trunk_size(trunk), own=own))


def ease_of(width: int, *, odds: bool) -> npt.NDArray[np.float64]:
    """How little each feature is held back: the odds, which are last, carry more than any other."""
    ease = np.ones(width)
    if odds:
        ease[-1] = _ODDS_EASE
    return ease


def _own(  # noqa: PLR0913 - each is one thing
    data: Divided,
    split: Split,
    network: onnx.ModelProto,
    spec: Preprocessing,
    *,
    crops: int = 0,
    most: int | None = None,
    seed: int = 0,
) -> Views:
    rows = data.rows(split)
    if most is not None and most < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False)).tolist()
    return look_at(data.examples.source, rows, network, spec, crops=crops, seed=seed)[0]


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
        "near": [kind for kind in options.near or NEAR_KINDS if kind in outliers.labels],
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

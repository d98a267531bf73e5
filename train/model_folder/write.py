"""Filling a model folder: calibrated network, metadata, split manifest, scores and card."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from catdog.files import sync_tree
from catdog.model.metadata import (
    METADATA_FILE,
    ONNX_FILE,
    SCHEMA_VERSION,
    SPLITS_FILE,
    Metadata,
    Preprocessing,
    UnsureRule,
    VerdictRules,
    hash_file,
    write_metadata,
)
from catdog.model.model import Model, Prediction, softmax
from train.data.splits import Divided, Split, write_manifest
from train.evaluation.evaluate import predict_rows, score_predictions
from train.model_folder.calibration import UNSURE_ERROR_RATE, fit_temperature, fit_unsure
from train.model_folder.card import CARD_FILE, render_card
from train.model_folder.drift import look_at, make_reference
from train.model_folder.quantize import make_small
from train.network.create import fold_temperature
from train.network.export import export_network, hash_files, library_versions
from train.network.inference import pixel_batches, run
from train.ood.rejection import Rule

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a network comes from."""

    init: str
    """The starting weights: a file or a Hub name."""
    positive_label: str | None
    """One of the labels, for the record as the rest."""
    recipe: str
    seed: int
    settings: dict[str, Any]
    """Of the recipe, for the record."""
    init_sha256: str | None = None
    """Of the starting weights, where `init` is not a file that could be asked."""
    license: str | None = None
    """Of the weights that are made, as the Hub spells it (`apache-2.0`); None if nobody said."""


def write_model_folder(  # noqa: PLR0913, PLR0917 - each is one thing
    folder: Path,
    network: nn.Module,
    data: Divided,
    spec: Preprocessing,
    origin: Origin,
    rule: Rule | None = None,
    *,
    validation: npt.NDArray[np.float32] | None = None,
) -> list[Prediction]:
    """Calibrate a trained network on validation, write everything, and score the ONNX file that was written.

    Args:
        folder: Replaced if it exists.
        network: On the CPU; the temperature is folded into its last layer.
        data: The pictures it was trained, and is to be calibrated and scored, on.
        spec: How pictures become its input.
        origin: For the record.
        rule: When to say "neither"; None is never.
        validation: The network's logits on validation, if they are known.

    Returns:
        What the folder says about the test pictures.
    """
    shutil.rmtree(folder, ignore_errors=True)
    temperature, rules = _calibrate(network, data, _logits(network, data, spec) if validation is None else validation)
    metadata = Metadata(
        schema_version=SCHEMA_VERSION,
        architecture=str(network.pretrained_cfg["architecture"]),  # type: ignore[index]
        labels=data.examples.source.labels,
        positive_label=origin.positive_label,
        preprocessing=spec,
        verdict=rules,
        temperature=temperature,
        training=_describe(origin, data),
        seed=origin.seed,
        versions=library_versions(),
    )
    export_network(network, folder, labels=metadata.labels, spec=spec)
    write_manifest(folder / SPLITS_FILE, data.examples.hashes, data.splits)
    return score_and_finish(folder, metadata, data, rule)


def score_and_finish(folder: Path, metadata: Metadata, data: Divided, rule: Rule | None) -> list[Prediction]:
    """Add the rule for "neither" to a folder's network, store it small too, score it, and finish the folder.

    The drift reference is made here as well: it is of the network as it is served.

    Returns:
        What the folder says about the test pictures.
    """
    if rule is not None:
        rule.add_to(folder / ONNX_FILE)
        metadata = rule.noted_in(metadata)
    stored = make_small(folder, metadata, data)
    write_metadata(folder, metadata.model_copy(update={"files": hash_files(folder)}))
    model = Model.load(folder)
    source = data.examples.source
    looked, test = look_at(model, source, data.rows("validation")), predict_rows(model, source, data.rows("test"))
    scores = _score(data, {"validation": [each.prediction for each in looked], "test": test})
    reference = make_reference(model, source, looked, others=data.rows("train"))
    changes = {"metrics": {**metadata.metrics, **scores, "stored": stored}, "drift_reference": reference}
    finish_model_folder(folder, metadata.model_copy(update=changes))
    return test


def finish_model_folder(folder: Path, metadata: Metadata) -> None:
    """Write the card and the final metadata, with the hash of every other file."""
    (folder / METADATA_FILE).unlink(missing_ok=True)
    (folder / CARD_FILE).write_text(render_card(metadata), encoding="utf-8")
    write_metadata(folder, metadata.model_copy(update={"files": hash_files(folder)}))
    sync_tree(folder)


def _logits(network: nn.Module, data: Divided, spec: Preprocessing) -> npt.NDArray[np.float32]:
    """On validation: shape (n, labels)."""
    batches = pixel_batches(data.examples.source, data.rows("validation"), spec)
    return run(network.eval(), batches, spec, device=torch.device("cpu"))


def _calibrate(network: nn.Module, data: Divided, logits: npt.NDArray[np.float32]) -> tuple[float, VerdictRules]:
    """Fold the temperature into the last layer; returns it, and the rule for "unsure"."""
    labels = data.labels("validation")
    temperature = fit_temperature(logits, labels)
    fold_temperature(network, temperature)
    threshold = fit_unsure(softmax(logits / np.float32(temperature)), labels)
    return temperature, VerdictRules(unsure=None if threshold is None else UnsureRule(min_confidence=threshold))


def _score(data: Divided, said: Mapping[Split, Sequence[Prediction]]) -> dict[str, dict[str, Any]]:
    metrics: dict[str, dict[str, Any]] = {}
    for split, predictions in said.items():
        metrics[split] = score_predictions(predictions, data.labels(split))
        _log.info(
            "%s: accuracy %.4f, log loss %.4f, ECE %.4f",
            split, metrics[split]["accuracy"], metrics[split]["log_loss"], metrics[split]["ece"],
        )  # fmt: skip
    if data.clean is not None:
        members = data.members("test")
        kept = data.clean.kept[members]
        clean = [each for each, keep in zip(said["test"], kept, strict=True) if keep]
        metrics["test_clean"] = score_predictions(clean, data.clean.labels[members[kept]])
    return metrics


def _describe(origin: Origin, data: Divided) -> dict[str, Any]:
    weights = Path(origin.init)
    return {
        "data": {
            "name": data.examples.source.title,
            "revision": data.examples.source.revision,
            "sha256": data.examples.digest,
            "n": len(data.examples),
            "skipped": data.examples.skipped.total(),
        },
        "overlay": None if data.clean is None else data.clean.about,
        "splits": data.counts,
        "init": {
            "name": weights.name if weights.is_file() else origin.init,
            "sha256": hash_file(weights) if weights.is_file() else origin.init_sha256,
        },
        "recipe": origin.recipe,
        "settings": origin.settings,
        "unsure_error_rate": UNSURE_ERROR_RATE,
        "license": origin.license,
    }

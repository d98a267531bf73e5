"""Score a model folder on a data set, with the network and the code that serve."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from catdog.errors import DataError
from catdog.images import preprocess
from catdog.metadata import SPLITS_FILE
from catdog.model import Model, Prediction
from train.examples import map_rows, read_examples
from train.metrics import score
from train.source import Source, open_source
from train.splits import read_manifest, seen_splits

UNSEEN = "unseen"
CHOICES = (UNSEEN, "test", "validation", "train", "all")
_BATCH = 32
_log = logging.getLogger(__name__)


def evaluate(folder: Path, data: str, *, revision: str | None = None, split: str = UNSEEN) -> dict[str, Any]:
    """Score a model folder.

    Args:
        folder: A model folder.
        data: A Hub data set id or a folder. Labels are matched to the model's by name.
        revision: The Hub revision of `data`.
        split: Which pictures: `unseen` is test and everything that the model's split manifest does not know, so
            the model's own data set gives its test split, and other data is used whole.

    Returns:
        The metrics with n, labels, where they come from, and what the verdicts do.

    Raises:
        DataError: a label that the model does not know, or no picture is left.
        ModelError, HubError, SettingsError: see `Model.load` and `open_source`.
    """
    model = Model.load(folder)
    source = open_source(data, revision=revision).with_labels(model.labels)
    examples = read_examples(source)
    seen = _seen(folder, examples.hashes, len(examples))
    chosen = _choose(seen, split)
    if not chosen.any():
        raise DataError(f"{data} has no picture of the split `{split}`. Choose another --split.")
    result = score_rows(model, source, examples.rows[chosen].tolist(), examples.labels[chosen])
    return {
        "model_id": model.model_id,
        "model_revision": model.revision,
        "data": {"name": source.name, "revision": source.revision, "split": split, "skipped": examples.skipped.total()},
        "left_out": {str(name): int((seen[~chosen] == name).sum()) for name in np.unique(seen[~chosen])},
        "labels": list(model.labels),
        **result,
    }


def score_rows(model: Model, source: Source, rows: Sequence[int], labels: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Metrics and verdicts of a source's rows, all readable, against labels by the model's numbers."""
    predictions = _predict(model, source, rows)
    probabilities = np.array([prediction.probabilities for prediction in predictions])
    verdicts = [prediction.verdict for prediction in predictions]
    answered = np.array([verdict in model.labels for verdict in verdicts])
    right = probabilities.argmax(axis=1) == labels
    return {
        **score(probabilities, labels).as_dict(),
        "verdicts": {
            "answered": float(answered.mean()),
            "accuracy_when_answered": float(right[answered].mean()) if answered.any() else None,
        },
    }


def _predict(model: Model, source: Source, rows: Sequence[int]) -> list[Prediction]:
    spec = model.metadata.preprocessing
    predictions: list[Prediction] = []
    batch: list[npt.NDArray[np.float32]] = []
    for pixels in map_rows(source, lambda _, image: preprocess(image, spec), rows):
        if isinstance(pixels, str):
            raise DataError(f"A picture became unreadable while it was used: {pixels}")
        batch.append(pixels)
        if len(batch) == _BATCH:
            predictions += model.predict_batch(batch)
            batch.clear()
    return predictions + (model.predict_batch(batch) if batch else [])


def _seen(folder: Path, hashes: npt.NDArray[np.uint64], count: int) -> npt.NDArray[np.str_]:
    path = folder / SPLITS_FILE
    if path.is_file():
        return seen_splits(hashes, read_manifest(path))
    _log.warning("%s has no %s: whether it was trained on these pictures cannot be told", folder, SPLITS_FILE)
    return np.full(count, "", dtype="<U10")


def _choose(seen: npt.NDArray[np.str_], split: str) -> npt.NDArray[np.bool_]:
    if split == "all":
        return np.ones(len(seen), dtype=np.bool_)
    wanted = ("", "test") if split == UNSEEN else (split,)
    return np.isin(seen, wanted)

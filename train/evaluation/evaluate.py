"""Score a model folder on a data set, with the network and the code that serve."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from catdog.errors import DataError
from catdog.model.metadata import NEITHER, SPLITS_FILE
from catdog.model.model import Model, Prediction
from catdog.model.preprocessing import preprocess
from train.data.examples import Examples, map_rows, read_examples
from train.data.overlay import Clean, Overlay, clean_labels
from train.data.source import Row, Source, open_source
from train.data.splits import read_manifest, seen_splits, warn_of_other_data
from train.metrics import Floats, Labels, score

UNSEEN = "unseen"
CHOICES = (UNSEEN, "test", "validation", "train", "all")
_SQUARE_SIDE = 200  # pixels
_NEARLY_SQUARE = 0.02  # of the logarithm of width by height
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answered:
    """A model's answers to some pictures of a data set, n in all."""

    model: Model
    source: Source
    """Its labels are numbered as the model's."""
    rows: list[int]
    labels: Labels
    """Shape (n,): as the data has them."""
    predictions: list[Prediction]
    clean: Clean | None
    """The labels as an overlay has them."""
    squeezed: list[Prediction] | None
    """The answers to the same pictures squeezed to squares; None if they are squares already."""
    about: Mapping[str, Any]
    """Which model, which data, and what was left out."""

    @property
    def probabilities(self) -> Floats:
        """Shape (n, labels)."""
        return np.array([prediction.probabilities for prediction in self.predictions])

    def as_dict(self) -> dict[str, Any]:
        """The metrics, for JSON: raw, and under `clean` with the labels that the overlay corrects."""
        result = {**self.about, "labels": list(self.model.labels), **score_predictions(self.predictions, self.labels)}
        if self.squeezed is not None:
            result["squeezed"] = score_predictions(self.squeezed, self.labels)
        if self.clean is None:
            return result
        kept = np.flatnonzero(self.clean.kept)
        clean = score_predictions([self.predictions[index] for index in kept], self.clean.labels[kept])
        return {**result, "clean": {"overlay": self.clean.about, **clean}}


def evaluate(
    folder: Path, data: str, *, revision: str | None = None, split: str = UNSEEN, overlay: Overlay | None = None
) -> dict[str, Any]:
    """Score a model folder: the metrics of `answer`, with n, labels, where they come from, and what the verdicts do."""
    return answer(folder, data, revision=revision, split=split, overlay=overlay).as_dict()


def answer(
    folder: Path, data: str, *, revision: str | None = None, split: str = UNSEEN, overlay: Overlay | None = None
) -> Answered:
    """Ask a model folder about the pictures of a data set.

    Args:
        folder: A model folder.
        data: A Hub data set id or a folder. Labels are matched to the model's by name.
        revision: The Hub revision of `data`.
        split: Which pictures: `unseen` is test and everything that the model's split manifest does not know, so
            the model's own data set gives its test split, and other data is used whole.
        overlay: Corrections of the data's labels.

    Raises:
        DataError: a label that the model does not know, or no picture is left.
        ModelError, HubError, SettingsError: see `Model.load` and `open_source`.
    """
    model = Model.load(folder)
    source = open_source(data, revision=revision).with_labels(model.labels)
    examples = read_examples(source)
    seen = _seen(folder, examples, model.metadata.training.get("data"))
    chosen = _choose(seen, split)
    if not chosen.any():
        raise DataError(f"{data} has no picture of the split `{split}`. Choose another --split.")
    rows: list[int] = examples.rows[chosen].tolist()
    square = _mostly_square(examples.aspects[chosen])
    return Answered(
        model=model,
        source=source,
        rows=rows,
        labels=examples.labels[chosen],
        predictions=predict_rows(model, source, rows),
        squeezed=None if square else predict_rows(model, source, rows, change=squeeze),
        clean=None if overlay is None else clean_labels(examples, overlay).at(chosen),
        about={
            "model_id": model.model_id,
            "model_revision": model.revision,
            "data": {
                "name": source.title, "revision": source.revision, "split": split, "skipped": examples.skipped.total()
            },
            "left_out": {str(name): int((seen[~chosen] == name).sum()) for name in np.unique(seen[~chosen])},
        },
    )  # fmt: skip


def squeeze(image: Image.Image) -> Image.Image:
    """The picture as data sets of squares hold it: its shape is lost."""
    return image.resize((_SQUARE_SIDE, _SQUARE_SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0)


def _mostly_square(aspects: npt.NDArray[np.float32]) -> bool:
    return float((np.abs(np.log(aspects)) < _NEARLY_SQUARE).mean()) > 0.5  # noqa: PLR2004


def predict_rows(
    model: Model, source: Source, rows: Sequence[int], *, change: Callable[[Image.Image], Image.Image] | None = None
) -> list[Prediction]:
    """The model's answers to a source's rows, all readable, each changed by `change` before."""
    spec = model.metadata.preprocessing

    def predict(_row: Row, image: Image.Image) -> Prediction:
        # In the decoding threads: the network takes one core, and they have all.
        return model.predict_batch([preprocess(image if change is None else change(image), spec)])[0]

    predictions = list(map_rows(source, predict, rows))
    if reasons := [each for each in predictions if isinstance(each, str)]:
        raise DataError(f"A picture became unreadable while it was used: {reasons[0]}")
    return [each for each in predictions if not isinstance(each, str)]


def score_predictions(predictions: Sequence[Prediction], labels: Labels) -> dict[str, Any]:
    """Metrics and verdicts of n answers, against labels of shape (n,) by the model's numbers.

    Raises:
        DataError: there are none.
    """
    if not predictions:
        raise DataError("No picture is left to score.")
    probabilities = np.array([prediction.probabilities for prediction in predictions])
    verdicts = [prediction.verdict for prediction in predictions]
    answered = np.array([verdict.is_label for verdict in verdicts])
    right = probabilities.argmax(axis=1) == labels
    return {
        **score(probabilities, labels).as_dict(),
        "verdicts": {
            "answered": float(answered.mean()),
            "accuracy_when_answered": float(right[answered].mean()) if answered.any() else None,
            NEITHER: verdicts.count(NEITHER) / len(verdicts),
        },
    }


def _seen(folder: Path, examples: Examples, made_with: Mapping[str, Any] | None) -> npt.NDArray[np.str_]:
    path = folder / SPLITS_FILE
    if path.is_file():
        manifest = read_manifest(path)
        seen = seen_splits(examples.hashes, manifest, examples.certain)
        if (seen == "").any():  # a part of the model's data is as good as all of it
            warn_of_other_data(examples, seen, manifest, made_with)
        return seen
    _log.warning("%s has no %s: whether it was trained on these pictures cannot be told", folder, SPLITS_FILE)
    return np.full(len(examples), "", dtype="<U10")


def _choose(seen: npt.NDArray[np.str_], split: str) -> npt.NDArray[np.bool_]:
    if split == "all":
        return np.ones(len(seen), dtype=np.bool_)
    wanted = ("", "test") if split == UNSEEN else (split,)
    return np.isin(seen, wanted)

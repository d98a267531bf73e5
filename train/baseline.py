"""`python -m train baseline`: is the network worth it? Simple models and finished ones on the same unseen pictures.

Times are CPU time of this run: of the two baselines as they are fitted here; of fine-tuning extrapolated from a few of
its steps taken here; per picture with all models taking turns. So the ratios hold whatever else the machine does.
"""

import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from catdog.errors import DataError, SettingsError
from catdog.model.metadata import ONNX_FILE, SPLITS_FILE, Metadata, load_metadata
from catdog.model.model import Model, softmax
from train.data.examples import Examples, map_rows, read_examples, require_every_label
from train.data.source import open_source
from train.data.splits import Divided, divide, read_manifest, seen_splits
from train.evaluation.comparison import as_markdown, compare, contender
from train.evaluation.evaluate import predict_rows
from train.fit import fit
from train.metrics import Floats, score
from train.model_folder.amend import amend_model_folder
from train.network.create import create_network, preprocessing
from train.network.features import Frozen
from train.network.finetune import TrainingSet, create_accelerator, finetune
from train.network.probe import Features, Linear, fit_linear
from train.options import PROBE, Augmentation, FitOptions, Schedule

COMPARISON = "comparison"
"""Its name in the metadata's metrics."""
_SIDE = 32
_STEPS = 6
_ROUNDS = 15
_TIMED = 16
_log = logging.getLogger(__name__)

Predict = Callable[[Image.Image], object]


@dataclass(frozen=True, slots=True)
class BaselineOptions:
    """What `python -m train baseline` was asked to do."""

    data: str
    frozen: Frozen
    """The untouched network, and what fine-tuning starts from."""
    out: Path
    """A folder for `comparison.json`, `comparison.md` and the frozen network's model folder."""
    revision: str | None = None
    seed: int = 0
    models: Mapping[str, Path] = field(default_factory=dict)
    """Finished model folders by the name that the table gives them, in its order."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A model before its time per picture is known."""

    name: str
    probabilities: Floats
    size_bytes: int
    fit_cpu_s: float | None
    predict: Predict


def baseline(options: BaselineOptions) -> dict[str, Any]:
    """Fit the baselines, score everything on the test split, and write the table.

    Pictures that one of the models was made with are in nobody's test split.

    Returns:
        What is in `comparison.json`.

    Raises:
        SettingsError: the output folder exists, or the models' labels are not the data's.
        DataError, ModelError, HubError: see `fit`.
    """
    _check(options)
    source = open_source(options.data, revision=options.revision)
    started = time.process_time()
    examples = read_examples(source, side=_SIDE)
    read_s = time.process_time() - started
    require_every_label(examples)
    splits = [read_manifest(folder / SPLITS_FILE) for folder in options.models.values()]
    data = divide(examples, seed=options.seed, manifest=splits[0] if splits else None)
    test = _unseen(data, [seen_splits(examples.hashes, manifest, examples.certain) for manifest in splits])
    entries = [_pixels(data, test, read_s), _frozen(options, examples, test)]
    probe_s = entries[-1].fit_cpu_s or 0.0
    for name, folder in options.models.items():
        schedule = _schedule(load_metadata(folder))
        # Fine-tuning begins with what the frozen network takes.
        fit_s = None if schedule is None else probe_s + _finetuning_cpu(options, data, schedule)
        entries.append(_entry(name, folder, examples, test, fit_s))
    report = _report(data, test, entries)
    (options.out / "comparison.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (options.out / "comparison.md").write_text(as_markdown(report["rows"]), encoding="utf-8")
    return report


def put_into_card(model: Path, report: dict[str, Any]) -> None:
    """Put a comparison into a model folder's metadata and card.

    Raises:
        ModelError, SettingsError, DataError: see `amend_model_folder`.
    """
    amend_model_folder(model, {COMPARISON: report})


def _check(options: BaselineOptions) -> None:
    if options.out.exists():
        raise SettingsError(f"{options.out} exists already. Choose another --out, or delete it.")
    for folder in options.models.values():
        if not (folder / SPLITS_FILE).is_file():
            raise SettingsError(f"--model {folder} has no {SPLITS_FILE}: which pictures it has seen cannot be told.")
    options.out.mkdir(parents=True)


def _unseen(data: Divided, seen: Sequence[npt.NDArray[np.str_]]) -> npt.NDArray[np.int64]:
    """Test pictures that no model was made with."""
    unseen = data.splits == "test"
    for splits in seen:
        unseen &= ~np.isin(splits, ("train", "validation"))
    if not unseen.any():
        raise DataError("The models were made with all of the test pictures. Compare models of one split (--splits).")
    return np.flatnonzero(unseen)


def _pixels(data: Divided, test: npt.NDArray[np.int64], read_s: float) -> _Entry:
    """Logistic regression on 32 x 32 pixels."""
    pixels = data.examples.squares.reshape(len(data.examples), -1)
    started = time.process_time()
    train, validation = data.members("train"), data.members("validation")
    linear = fit_linear(
        (_scaled(pixels[train]), data.labels("train")), (_scaled(pixels[validation]), data.labels("validation"))
    )
    fit_s = time.process_time() - started
    return _Entry(
        name=f"logistic regression on {_SIDE} x {_SIDE} pixels",
        probabilities=softmax(linear.logits(_scaled(pixels[test]))).astype(np.float64),
        size_bytes=linear.weight.nbytes + linear.bias.nbytes,
        fit_cpu_s=read_s + fit_s,
        predict=lambda image: _predict_pixels(linear, image),
    )


def _scaled(pixels: npt.NDArray[np.uint8]) -> Features:
    return pixels.astype(np.float32) / np.float32(255.0)


def _predict_pixels(linear: Linear, image: Image.Image) -> Floats:
    square = image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return softmax(linear.logits(_scaled(np.asarray(square).transpose(2, 0, 1).reshape(1, -1))))


def _frozen(options: BaselineOptions, examples: Examples, test: npt.NDArray[np.int64]) -> _Entry:
    """A linear head on the untouched network, as a model folder like any other."""
    started = time.process_time()
    folder = fit(
        FitOptions(
            data=options.data,
            revision=options.revision,
            init=options.frozen.init,
            out=options.out / PROBE,
            recipe=PROBE,
            architecture=options.frozen.architecture,
            img_size=options.frozen.img_size,
            crop_pct=options.frozen.crop_pct,
            splits=next((each / SPLITS_FILE for each in options.models.values()), None),
            schedule=Schedule(seed=options.seed),
        )
    )
    return _entry("frozen network, linear head", folder, examples, test, time.process_time() - started)


def _entry(name: str, folder: Path, examples: Examples, test: npt.NDArray[np.int64], fit_cpu_s: float | None) -> _Entry:
    model = Model.load(folder)
    names = examples.source.labels
    if set(model.labels) != set(names):
        raise SettingsError(f"{folder} knows {', '.join(model.labels)}, but the data has {', '.join(names)}.")
    predictions = predict_rows(model, examples.source, examples.rows[test].tolist())
    order = [model.labels.index(label) for label in names]
    return _Entry(
        name=name,
        probabilities=np.array([prediction.probabilities for prediction in predictions])[:, order],
        size_bytes=(folder / ONNX_FILE).stat().st_size,
        fit_cpu_s=fit_cpu_s,
        predict=model.predict,
    )


def _schedule(metadata: Metadata) -> Schedule | None:
    """Of a fine-tuned model, without what this version does not know; None if it was made in another way."""
    stored = metadata.training.get("settings", {}).get("schedule")
    if stored is None:
        return None
    known = {each.name: stored[each.name] for each in fields(Schedule) if each.name in stored}
    names = {each.name for each in fields(Augmentation)}
    augmentation = {name: value for name, value in stored.get("augmentation", {}).items() if name in names}
    return Schedule(**{**known, "augmentation": Augmentation(**augmentation)})


def _finetuning_cpu(options: BaselineOptions, data: Divided, schedule: Schedule) -> float:
    """CPU seconds of all steps of a schedule, extrapolated from a few."""
    labels = len(data.examples.source.labels)
    network = create_network(options.frozen.architecture, labels=labels, init=options.frozen.init)
    spec = preprocessing(network, input_size=options.frozen.img_size, crop_pct=options.frozen.crop_pct)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    examples, members = data.examples, data.members("train")
    some = replace(schedule, epochs=1, batch_size=min(schedule.batch_size, len(members)), accumulate=1)
    steps = min(_STEPS, len(members) // some.batch_size)
    training = TrainingSet(examples.squares, examples.aspects, examples.labels, members[: steps * some.batch_size])
    folder = options.out / "timing"
    folder.mkdir()
    started = time.process_time()
    finetune(
        network, training, lambda _: (np.zeros((labels, labels), np.float32), np.arange(labels)),
        spec, some, accelerator=create_accelerator(), folder=folder, options="timing",
    )  # fmt: skip
    per_picture = (time.process_time() - started) / (steps * some.batch_size)
    shutil.rmtree(folder)
    return per_picture * len(members) * schedule.epochs


def _report(data: Divided, test: npt.NDArray[np.int64], entries: Sequence[_Entry]) -> dict[str, Any]:
    examples = data.examples
    times = _time_in_turns([each.predict for each in entries], _some_images(examples, test))
    rows = [
        contender(
            each.name,
            score(each.probabilities, examples.labels[test]),
            size_bytes=each.size_bytes,
            fit_cpu_s=each.fit_cpu_s,
            predict_cpu_ms=predict_ms,
        )
        for each, predict_ms in zip(entries, times, strict=True)
    ]
    return {
        "data": {"name": examples.source.title, "revision": examples.source.revision, "sha256": examples.digest},
        "n": len(test),
        "rows": compare(rows),
    }


def _some_images(examples: Examples, test: npt.NDArray[np.int64]) -> list[Image.Image]:
    images = map_rows(examples.source, lambda _, image: image, examples.rows[test[:_TIMED]].tolist())
    return [image for image in images if not isinstance(image, str)]


def _time_in_turns(predictors: Sequence[Predict], images: Sequence[Image.Image]) -> list[float]:
    """CPU milliseconds a picture: the best of several rounds, in each of which everyone has a turn."""
    best = [np.inf] * len(predictors)
    for _ in range(_ROUNDS):
        for index, predict in enumerate(predictors):
            started = time.process_time()
            for image in images:
                predict(image)
            best[index] = min(best[index], time.process_time() - started)
    return [1000 * float(each) / len(images) for each in best]

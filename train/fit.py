"""`python -m train fit`: from labelled pictures to a complete model folder."""

import json
import logging
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from catdog.errors import DataError, SettingsError
from catdog.images.phash import same_pictures
from catdog.model.metadata import RESERVED_LABELS, Preprocessing, hash_file
from train.data.examples import read_examples, require_every_label
from train.data.overlay import read_overlay
from train.data.source import open_outliers, open_source
from train.data.splits import Divided, divide, read_manifest
from train.failures import clear_disk_errors, clear_interruption
from train.metrics import Labels
from train.model_folder.write import Origin, write_model_folder
from train.network.checkpoint import CHECKPOINT_FILE
from train.network.create import create_network, preprocessing
from train.network.distill import NO_LABEL, Lessons, Pictures, Teacher, create_student, open_teacher
from train.network.finetune import TrainingSet, balanced, create_accelerator, finetune, require_one_batch
from train.network.inference import pixel_batches, pooled_features, run
from train.network.probe import fit_head
from train.ood.rejection import make_rule
from train.options import FINETUNE, PROBE, RANDOM, Distillation, FitOptions
from train.tracking.tracking import RunInputs, TrackedRun, Tracker, Untracked

_FEW_PER_LABEL = 300
_UNEVEN = 3
_log = logging.getLogger(__name__)


def fit(options: FitOptions, tracker: Tracker | None = None) -> Path:
    """Train, calibrate, export and score a model.

    Args:
        options: What to do.
        tracker: Keeps a record of the run; none by default.

    Returns:
        The complete model folder, `options.out`. Until it is complete there is none.

    Raises:
        SettingsError: an option is wrong, or the folder exists already.
        StoppedError: it was interrupted; a checkpoint may be there.
        DataError: the data cannot be used, or the disk is full.
        ModelError, HubError: see `open_source` and `create_network`.
    """
    with clear_interruption(lambda: _how_to_go_on(options)):
        _fit(options, tracker or Untracked())
    return options.out


def _fit(options: FitOptions, tracker: Tracker) -> None:
    _check_folders(options)
    if options.distillation is not None:
        options = replace(options, distillation=open_teacher(options.distillation))
    accelerator = create_accelerator(precision=options.precision, accumulate=options.schedule.accumulate)
    if not accelerator.is_main_process:
        tracker = Untracked()
    tracker.connect()
    torch.manual_seed(options.schedule.seed)
    source = open_source(options.data, revision=options.revision)
    positive_label = _positive_label(source.labels, options.positive_label)
    network = create_network(options.architecture, labels=len(source.labels), init=options.init)
    spec = preprocessing(network, input_size=options.img_size, crop_pct=options.crop_pct)
    manifest = read_manifest(options.splits) if options.splits else None
    examples = read_examples(source, side=_square_side(options))
    require_every_label(examples)
    overlay = read_overlay(options.overlay) if options.overlay else None
    data = divide(examples, seed=options.schedule.seed, manifest=manifest, overlay=overlay)
    _log.info("split: %s", ", ".join(f"{count} {split}" for split, count in data.counts.items()))
    _advise(options, data)
    if options.recipe == FINETUNE:
        require_one_batch(len(data.members("train")), options.schedule, accelerator)
    with clear_disk_errors(options.out):
        options.checkpoints.mkdir(parents=True, exist_ok=True)
        with tracker.run(_inputs(options, data)) as tracked:
            settings = _train(options, network, data, spec, accelerator=accelerator, tracked=tracked)
            if accelerator.is_main_process:
                seed = options.schedule.seed
                origin = Origin(options.init, positive_label, options.recipe, seed, settings, license=options.license)
                _write(options, network, data, spec, origin)
                tracked.finish(options.out)
    accelerator.wait_for_everyone()


def _write(options: FitOptions, network: nn.Module, data: Divided, spec: Preprocessing, origin: Origin) -> None:
    """The model folder: made aside, and named when it is complete."""
    network = network.to("cpu").eval()
    rule = make_rule(network, data, spec, options.rule) if options.rule else None
    write_model_folder(options.work / "model", network, data, spec, origin, rule)
    (options.work / "model").rename(options.out)
    shutil.rmtree(options.work)


def _train(  # noqa: PLR0913 - each is one thing
    options: FitOptions,
    network: nn.Module,
    data: Divided,
    spec: Preprocessing,
    *,
    accelerator: Accelerator,
    tracked: TrackedRun,
) -> dict[str, Any]:
    """Head first, then, unless the recipe ends there, everything. Returns settings and history for the metadata."""
    network.to(accelerator.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    validation = list(pixel_batches(data.examples.source, data.rows("validation"), spec))
    settings: dict[str, Any] = {}
    # Features of random weights say nothing, and their scale would throw the fine-tuning off.
    worthwhile = options.init != RANDOM or options.recipe == PROBE
    if worthwhile and not _started(options):
        settings["head"] = _fit_head(
            network, data, validation, spec, device=accelerator.device, balanced=options.balanced
        )
    if options.recipe == FINETUNE:
        settings["schedule"] = asdict(options.schedule)
        student, lessons = network, None
        pictures = Pictures(data.examples.squares, data.examples.aspects, data.training_labels, data.members("train"))
        if options.distillation is not None:
            pictures = _with_unlabelled(pictures, options, data)
            settings["distillation"] = {
                **_described(options.distillation),
                "unlabelled_pictures": len(pictures.members) - len(data.members("train")),
            }
            student, lessons = _with_teacher(options, options.distillation, network, data, pictures)
        settings["history"] = finetune(
            student,
            TrainingSet(pictures.squares, pictures.aspects, pictures.labels, _members(pictures, options)),
            lambda candidate: (run(candidate, validation, spec, device=accelerator.device), data.labels("validation")),
            spec,
            options.schedule,
            accelerator=accelerator,
            folder=options.checkpoints,
            options=_identity(options, data),
            on_epoch=tracked.epoch,
            lessons=lessons,
            patience=options.patience or None,
        )
        if lessons is not None:
            settings["distillation"]["labels_ruled_out"] = len(lessons.distrusted)
            lessons.close()
    return settings


def _members(pictures: Pictures, options: FitOptions) -> Labels:
    """Which pictures an epoch shows; balanced, pictures of rare labels are repeated."""
    if not options.balanced:
        return pictures.members
    return balanced(pictures.members, pictures.labels[pictures.members])


def _advise(options: FitOptions, data: Divided) -> None:
    """Say which recipe suits so many pictures, and where one label is much rarer than another."""
    counts = np.bincount(data.labels("train"), minlength=len(data.examples.source.labels))
    if options.recipe == FINETUNE and counts.mean() < _FEW_PER_LABEL:
        _log.info(
            "%s training pictures a label are few for fine-tuning: `--recipe probe` is often as good, in a fraction of "
            "the time. What is better on validation is kept.", f"{counts.mean():.0f}",
        )  # fmt: skip
    if not options.balanced and counts.max() > _UNEVEN * counts.min():
        names = [data.examples.source.labels[int(each)] for each in (counts.argmax(), counts.argmin())]
        _log.info(
            "%s has %d training pictures, %s has %d: the rare label will be missed more often. `--balanced` counts "
            "every label the same.", names[0], counts.max(), names[1], counts.min(),
        )  # fmt: skip


def _with_teacher(
    options: FitOptions, how: Distillation, network: nn.Module, data: Divided, pictures: Pictures
) -> tuple[nn.Module, Lessons]:
    """The network with the head that distillation needs, and what the teacher has to say."""
    teacher = Teacher(how, options.work / "teacher")
    examples = data.examples
    schedule = options.schedule
    lessons = Lessons(teacher, pictures, schedule.augmentation, schedule.seed, schedule.epochs, examples.digest)
    return create_student(network, options.init, teacher, len(examples.source.labels)), lessons


def _with_unlabelled(pictures: Pictures, options: FitOptions, data: Divided) -> Pictures:
    """The training pictures, and those that only the teacher judges; copies of validation and test are left out."""
    if options.distillation is None or options.distillation.unlabelled is None:
        return pictures
    source = open_outliers(options.distillation.unlabelled)
    more = read_examples(source, side=_square_side(options))
    if not len(more):
        raise DataError(f"--unlabelled {source.name} has no readable picture. Name another folder.")
    judging = data.examples.hashes[data.splits != "train"]
    copies = {row for row, _ in same_pictures(more.hashes, judging, more.certain)}
    kept = [row for row in range(len(more)) if row not in copies]
    _log.info("%d pictures without labels, %d copies of validation and test left out", len(kept), len(copies))
    return Pictures(
        squares=np.concatenate([pictures.squares, more.squares]),
        aspects=np.concatenate([pictures.aspects, more.aspects]),
        labels=np.concatenate([pictures.labels, np.full(len(more), NO_LABEL)]),
        members=np.concatenate([pictures.members, len(pictures.labels) + np.array(kept, dtype=np.int64)]),
    )


def _described(how: Distillation) -> dict[str, Any]:
    """For the record: where files lie is nobody's business."""
    weights = Path(how.teacher)
    digest = hash_file(weights) if weights.is_file() else None
    unlabelled = how.unlabelled and Path(how.unlabelled).name
    name = weights.name if digest else how.teacher
    return {**asdict(how), "teacher": name, "sha256": digest, "unlabelled": unlabelled}


def _fit_head(  # noqa: PLR0913 - each is one thing
    network: nn.Module,
    data: Divided,
    validation: list[torch.Tensor],
    spec: Preprocessing,
    *,
    device: torch.device,
    balanced: bool,
) -> dict[str, float]:
    features = pooled_features(network)
    training = pixel_batches(data.examples.source, data.rows("train"), spec)
    return fit_head(
        network,
        (run(features, training, spec, device=device), data.labels("train")),
        (run(features, validation, spec, device=device), data.labels("validation")),
        balanced=balanced,
    )


def _identity(options: FitOptions, data: Divided) -> str:
    """What must be equal for one run to go on from another's checkpoint."""
    return json.dumps(
        [
            asdict(options.schedule),
            options.init,
            options.img_size,
            options.crop_pct,
            data.examples.digest,
            data.clean and data.clean.sha256,
            *([] if options.distillation is None else [asdict(options.distillation)]),
            *(["balanced"] if options.balanced else []),
        ]
    )


def _inputs(options: FitOptions, data: Divided) -> RunInputs:
    """For the record of the run."""
    parameters = {
        name: getattr(options, name) for name in ("init", "recipe", "architecture", "img_size", "crop_pct", "precision")
    }
    source = data.examples.source
    return RunInputs(
        name=options.out.name,
        command="python -m train fit",
        parameters={
            **parameters,
            "schedule": asdict(options.schedule),
            "splits": data.counts,
            "overlay": data.clean and data.clean.about,
            "balanced": options.balanced,
        },
        data=source.title,
        data_revision=source.revision,
        data_sha256=data.examples.digest,
        note=options.checkpoints / "tracked_run",
    )


def _started(options: FitOptions) -> bool:
    """Whether an interrupted run can be gone on with."""
    return (options.checkpoints / CHECKPOINT_FILE).is_file()


def _how_to_go_on(options: FitOptions) -> str:
    if _started(options):
        return "With --resume the same command goes on after the last complete epoch."
    return "No epoch was complete; the same command starts again."


def _check_folders(options: FitOptions) -> None:
    """Nothing that exists is overwritten."""
    if options.out.exists():
        raise SettingsError(f"{options.out} exists already. Choose another --out, or delete it.")
    if _started(options) and not options.resume:
        raise SettingsError(
            f"{options.work} holds an interrupted run. Add --resume to go on with it, or delete it to start again."
        )


def _square_side(options: FitOptions) -> int:
    """A little more than the training crops need, so that most are not enlarged; the probe needs none."""
    return round(1.15 * options.schedule.train_size) if options.recipe == FINETUNE else 0


def _positive_label(labels: tuple[str, ...], wanted: str | None) -> str | None:
    """The label whose probability is "the" probability: the second of two, unless chosen."""
    if reserved := RESERVED_LABELS & set(labels):
        raise SettingsError(f"{', '.join(sorted(reserved))} cannot be a label: the app uses it for its own verdict.")
    if wanted is not None and wanted not in labels:
        raise SettingsError(f"--positive-label {wanted} is none of the labels {', '.join(labels)}.")
    return labels[1] if wanted is None and len(labels) == 2 else wanted  # noqa: PLR2004

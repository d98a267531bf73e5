"""`python -m train fit`: from labelled pictures to a complete model folder."""

import json
import logging
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from catdog.errors import SettingsError
from catdog.metadata import RESERVED_LABELS, Preprocessing
from train.checkpoint import CHECKPOINT_FILE
from train.examples import read_examples, require_every_label
from train.export import clear_disk_errors
from train.finetune import Schedule, TrainingSet, create_accelerator, finetune
from train.folder import Origin, write_model_folder
from train.inference import pixel_batches, pooled_features, run
from train.network import RANDOM, create_network, preprocessing
from train.probe import fit_head
from train.source import open_source
from train.splits import Divided, divide, read_manifest

PROBE = "probe"
FINETUNE = "finetune"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FitOptions:
    """What `python -m train fit` was asked to do."""

    data: str
    init: str
    out: Path
    recipe: str = FINETUNE
    revision: str | None = None
    architecture: str = "tf_mobilenetv3_small_100"
    img_size: int = 256
    crop_pct: float = 0.95
    positive_label: str | None = None
    splits: Path | None = None
    """An earlier model's `splits.csv`, whose split is kept."""
    precision: str = "no"
    resume: bool = False
    schedule: Schedule = field(default_factory=Schedule)

    @property
    def work(self) -> Path:
        """Where checkpoints are, and where the model folder is made before it gets its name."""
        return self.out.with_name(f"{self.out.name}.partial")

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoint and the metrics per epoch."""
        return self.work / "checkpoints"


def fit(options: FitOptions) -> Path:
    """Train, calibrate, export and score a model.

    Returns:
        The complete model folder, `options.out`. Until it is complete there is none.

    Raises:
        SettingsError: an option is wrong, or the folder exists already.
        DataError: the data cannot be used, or the disk is full.
        ModelError, HubError: see `open_source` and `create_network`.
    """
    _check_folders(options)
    torch.manual_seed(options.schedule.seed)
    source = open_source(options.data, revision=options.revision)
    positive_label = _positive_label(source.labels, options.positive_label)
    network = create_network(options.architecture, labels=len(source.labels), init=options.init)
    spec = preprocessing(network, input_size=options.img_size, crop_pct=options.crop_pct)
    manifest = read_manifest(options.splits) if options.splits else None
    examples = read_examples(source, side=_square_side(options))
    require_every_label(examples)
    data = divide(examples, seed=options.schedule.seed, manifest=manifest)
    _log.info("split: %s", ", ".join(f"{count} {split}" for split, count in data.counts.items()))
    try:
        with clear_disk_errors(options.out):
            _train_and_write(options, network, data, spec, positive_label)
    except KeyboardInterrupt:
        if (options.checkpoints / CHECKPOINT_FILE).is_file():
            _log.warning("Interrupted. With --resume the same command goes on after the last complete epoch.")
        raise
    return options.out


def _train_and_write(
    options: FitOptions, network: nn.Module, data: Divided, spec: Preprocessing, positive_label: str | None
) -> None:
    accelerator = create_accelerator(precision=options.precision, accumulate=options.schedule.accumulate)
    options.checkpoints.mkdir(parents=True, exist_ok=True)
    settings = _train(options, network, data, spec, accelerator=accelerator)
    if accelerator.is_main_process:
        seed = options.schedule.seed
        origin = Origin(options.data, options.init, positive_label, options.recipe, seed, settings)
        write_model_folder(options.work / "model", network.to("cpu"), data, spec, origin)
        (options.work / "model").rename(options.out)
        shutil.rmtree(options.work)
    accelerator.wait_for_everyone()


def _train(
    options: FitOptions, network: nn.Module, data: Divided, spec: Preprocessing, *, accelerator: Accelerator
) -> dict[str, Any]:
    """Head first, then, unless the recipe ends there, everything. Returns settings and history for the metadata."""
    network.to(accelerator.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    validation = list(pixel_batches(data.examples.source, data.rows("validation"), spec))
    settings: dict[str, Any] = {}
    # Features of random weights say nothing, and their scale would throw the fine-tuning off.
    worthwhile = options.init != RANDOM or options.recipe == PROBE
    if worthwhile and not options.resume:
        settings["head"] = _fit_head(network, data, validation, spec, device=accelerator.device)
    if options.recipe == FINETUNE:
        settings["schedule"] = asdict(options.schedule)
        settings["history"] = finetune(
            network,
            TrainingSet(data.examples.squares, data.examples.aspects, data.examples.labels, data.members("train")),
            lambda candidate: (run(candidate, validation, spec, device=accelerator.device), data.labels("validation")),
            spec,
            options.schedule,
            accelerator=accelerator,
            folder=options.checkpoints,
            options=_identity(options, data),
        )
    return settings


def _fit_head(
    network: nn.Module, data: Divided, validation: list[torch.Tensor], spec: Preprocessing, *, device: torch.device
) -> dict[str, float]:
    features = pooled_features(network)
    training = pixel_batches(data.examples.source, data.rows("train"), spec)
    return fit_head(
        network,
        (run(features, training, spec, device=device), data.labels("train")),
        (run(features, validation, spec, device=device), data.labels("validation")),
    )


def _identity(options: FitOptions, data: Divided) -> str:
    """What must be equal for one run to go on from another's checkpoint."""
    return json.dumps(
        [asdict(options.schedule), options.init, options.img_size, options.crop_pct, data.examples.digest]
    )


def _check_folders(options: FitOptions) -> None:
    """Nothing that exists is overwritten."""
    if options.out.exists():
        raise SettingsError(f"{options.out} exists already. Choose another --out, or delete it.")
    started = (options.checkpoints / CHECKPOINT_FILE).is_file()
    if started and not options.resume:
        raise SettingsError(
            f"{options.work} holds an interrupted run. Add --resume to go on with it, or delete it to start again."
        )
    if options.resume and not started:
        raise SettingsError(f"--resume: {options.work} holds no interrupted run. Leave --resume out.")


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

"""From labelled pictures to a complete model folder."""

import json
import logging
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from torch import nn

from catdog.errors import SettingsError
from catdog.metadata import (
    METADATA_FILE,
    RESERVED_LABELS,
    SCHEMA_VERSION,
    SPLITS_FILE,
    Metadata,
    Preprocessing,
    UnsureRule,
    VerdictRules,
    hash_file,
    write_metadata,
)
from catdog.model import Model, softmax
from train.calibration import UNSURE_ERROR_RATE, fit_temperature, fit_unsure
from train.card import CARD_FILE, render_card
from train.checkpoint import CHECKPOINT_FILE
from train.evaluate import score_rows
from train.examples import Examples, read_examples, require_every_label
from train.export import clear_disk_errors, export_network, hash_files, library_versions, sync_folder
from train.finetune import Schedule, TrainingSet, create_accelerator, finetune
from train.inference import pixel_batches, pooled_features, run
from train.network import RANDOM, create_network, fold_temperature, preprocessing
from train.probe import fit_head
from train.source import open_source
from train.splits import SPLITS, assign_splits, write_manifest

RECIPES: dict[str, str] = {
    "probe": "a linear head on the frozen network.",
    "finetune": "fine-tuned as a whole.",
}
CHECKPOINTS = "checkpoints"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FitOptions:
    """What `python -m train fit` was asked to do."""

    data: str
    init: str
    out: Path
    recipe: str = "finetune"
    revision: str | None = None
    architecture: str = "tf_mobilenetv3_small_100"
    img_size: int = 224
    crop_pct: float = 0.95
    positive_label: str | None = None
    precision: str = "no"
    resume: bool = False
    schedule: Schedule = field(default_factory=Schedule)

    @property
    def work(self) -> Path:
        """Where everything is made, until it is complete and gets its name."""
        return self.out.with_name(f"{self.out.name}.partial")


def fit(options: FitOptions) -> Path:
    """Train, calibrate, export and score a model.

    Returns:
        The complete model folder, `options.out`.

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
    examples = read_examples(source, side=_square_side(options))
    require_every_label(examples)
    splits = assign_splits(examples.hashes, examples.labels, seed=options.schedule.seed)
    _log.info("split: %s", ", ".join(f"{int((splits == split).sum())} {split}" for split in SPLITS))
    accelerator = create_accelerator(precision=options.precision, accumulate=options.schedule.accumulate)
    with clear_disk_errors(options.out.parent):
        (options.work / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        settings = _train(options, network, examples, splits, spec, accelerator)
        if accelerator.is_main_process:
            network.to("cpu")
            metadata = _metadata(options, network, examples, splits, spec, positive_label, settings)
            _write(options, network, examples, splits, metadata)
        accelerator.wait_for_everyone()
    return options.out


def _train(
    options: FitOptions,
    network: nn.Module,
    examples: Examples,
    splits: npt.NDArray[np.str_],
    spec: Preprocessing,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """Head first, then, unless the recipe ends there, everything. Returns settings and history for the metadata."""
    device = accelerator.device
    network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    chosen = {split: splits == split for split in SPLITS}
    rows = {split: examples.rows[mask].tolist() for split, mask in chosen.items()}
    labels = {split: examples.labels[mask] for split, mask in chosen.items()}
    held_out = list(pixel_batches(examples.source, rows["validation"], spec))
    identity = json.dumps([asdict(options.schedule), options.init, options.img_size, options.crop_pct, examples.digest])
    settings: dict[str, Any] = {}
    # Features of random weights say nothing, and their scale would throw the fine-tuning off.
    worthwhile = options.init != RANDOM or options.recipe == "probe"
    if worthwhile and not (options.work / CHECKPOINTS / CHECKPOINT_FILE).is_file():
        features = pooled_features(network)
        batches = pixel_batches(examples.source, rows["train"], spec)
        settings["head"] = fit_head(
            network,
            (run(features, batches, spec, device=device), labels["train"]),
            (run(features, held_out, spec, device=device), labels["validation"]),
        )
    if options.recipe == "finetune":
        settings["history"] = finetune(
            network,
            TrainingSet(examples.squares, examples.aspects, examples.labels, np.flatnonzero(chosen["train"])),
            lambda candidate: (run(candidate, held_out, spec, device=device), labels["validation"]),
            spec,
            options.schedule,
            accelerator=accelerator,
            folder=options.work / CHECKPOINTS,
            options=identity,
        )
        settings["schedule"] = asdict(options.schedule)
    return settings


def _metadata(
    options: FitOptions,
    network: nn.Module,
    examples: Examples,
    splits: npt.NDArray[np.str_],
    spec: Preprocessing,
    positive_label: str | None,
    settings: dict[str, Any],
) -> Metadata:
    """Calibrate the network on validation, and write down what it is."""
    chosen = splits == "validation"
    batches = pixel_batches(examples.source, examples.rows[chosen].tolist(), spec)
    logits = run(network.eval(), batches, spec, device=torch.device("cpu"))
    temperature = fit_temperature(logits, examples.labels[chosen])
    fold_temperature(network, temperature)
    threshold = fit_unsure(softmax(logits / np.float32(temperature)), examples.labels[chosen])
    return Metadata(
        schema_version=SCHEMA_VERSION,
        architecture=options.architecture,
        labels=examples.source.labels,
        positive_label=positive_label,
        preprocessing=spec,
        verdict=VerdictRules(unsure=None if threshold is None else UnsureRule(min_confidence=threshold)),
        temperature=temperature,
        training={
            "data": {
                "name": Path(options.data).name if Path(options.data).is_dir() else options.data,
                "revision": examples.source.revision,
                "sha256": examples.digest,
                "n": len(examples),
                "skipped": examples.skipped.total(),
            },
            "splits": {split: int((splits == split).sum()) for split in SPLITS},
            "init": _describe_init(options.init),
            "recipe": options.recipe,
            "recipe_text": RECIPES[options.recipe],
            "settings": settings,
            "unsure_rule": (
                f"on validation, at least {UNSURE_ERROR_RATE:.0%} of the answers below it were wrong, and it is the "
                "largest such value"
            ),
        },
        seed=options.schedule.seed,
        versions=library_versions(),
    )


def _write(
    options: FitOptions,
    network: nn.Module,
    examples: Examples,
    splits: npt.NDArray[np.str_],
    metadata: Metadata,
) -> None:
    """Fill the model folder; the scores are those of the files that were written."""
    folder = options.work / "model"
    shutil.rmtree(folder, ignore_errors=True)
    export_network(network, folder, labels=metadata.labels, spec=metadata.preprocessing)
    write_manifest(folder / SPLITS_FILE, examples.hashes, splits)
    write_metadata(folder, metadata.model_copy(update={"files": hash_files(folder)}))
    model = Model.load(folder)
    metrics = {}
    for split in ("validation", "test"):
        chosen = splits == split
        metrics[split] = score_rows(model, examples.source, examples.rows[chosen].tolist(), examples.labels[chosen])
        _log.info("%s: %s", split, json.dumps({k: v for k, v in metrics[split].items() if isinstance(v, float)}))
    metadata = metadata.model_copy(update={"metrics": metrics})
    (folder / CARD_FILE).write_text(render_card(metadata), encoding="utf-8")
    (folder / METADATA_FILE).unlink()
    write_metadata(folder, metadata.model_copy(update={"files": hash_files(folder)}))
    sync_folder(folder)
    folder.rename(options.out)
    shutil.rmtree(options.work)


def _check_folders(options: FitOptions) -> None:
    """Nothing that exists is overwritten."""
    if options.out.exists():
        raise SettingsError(f"{options.out} exists already. Choose another --out, or delete it.")
    started = (options.work / CHECKPOINTS / CHECKPOINT_FILE).is_file()
    if started and not options.resume:
        raise SettingsError(
            f"{options.work} holds an interrupted run. Add --resume to go on with it, or delete it to start again."
        )
    if options.resume and not started:
        raise SettingsError(f"--resume: {options.work} holds no interrupted run. Leave --resume out.")


def _square_side(options: FitOptions) -> int:
    """A little more than the training crops need, so that most are not enlarged; the probe needs none."""
    return round(1.15 * options.schedule.train_size) if options.recipe == "finetune" else 0


def _positive_label(labels: tuple[str, ...], wanted: str | None) -> str | None:
    """The label whose probability is "the" probability: the second of two, unless chosen."""
    if reserved := RESERVED_LABELS & set(labels):
        raise SettingsError(f"{', '.join(sorted(reserved))} cannot be a label: the app uses it for its own verdict.")
    if wanted is not None and wanted not in labels:
        raise SettingsError(f"--positive-label {wanted} is none of the labels {', '.join(labels)}.")
    return labels[1] if wanted is None and len(labels) == 2 else wanted  # noqa: PLR2004


def _describe_init(init: str) -> dict[str, Any]:
    path = Path(init)
    return {"name": path.name, "sha256": hash_file(path)} if path.is_file() else {"name": init, "sha256": None}

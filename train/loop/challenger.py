"""The challenger: the base model's network, trained further on corrections while it rehearses what it knew."""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.layers import freeze_batch_norm_2d, unfreeze_batch_norm_2d  # type: ignore[attr-defined]
from torch import nn

from catdog.errors import DataError
from catdog.model.metadata import WEIGHTS_FILE, Metadata
from train.data.examples import Examples, read_examples
from train.data.source import Source, source_of
from train.data.splits import Divided
from train.loop.corrections import Correction
from train.metrics import Labels
from train.network.augment import Augmentation
from train.network.backbone import freeze_trunk
from train.network.create import create_network, fold_temperature
from train.network.finetune import Schedule, TrainingSet, create_accelerator, finetune
from train.network.inference import pixel_batches, run

RETRAIN_SCHEDULE = Schedule(
    epochs=4,
    rate=3e-4,
    body_factor=0.5,
    average_decay=0.99,
    smoothing=0.0,
    augmentation=Augmentation(mix_share=0.0),
)
"""Short: the network is good already. What decides how much it learns is set here, whatever a first training does."""

_LEAST_BATCH = 8
_LEAST_STEPS = 16
"""An epoch over little data has smaller batches rather than fewer steps than this."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Replay:
    """How old and new examples are mixed, so that the network does not forget.

    Experience replay, as in Rolnick et al. 2019 (arXiv:1811.11682).
    """

    per_correction: int = 20
    """Old training pictures for each correction ..."""
    least: int = 2000
    """... and so many at least, where there are."""
    new_share: float = 0.25
    """Share of an epoch that corrections are repeated to fill ..."""
    most_repeats: int = 8
    """... but none more often than this."""


def restore_network(folder: Path, metadata: Metadata) -> nn.Module:
    """The network of a model folder as it was before its temperature was folded into the last layer.

    Raises:
        ModelError: the weights do not fit the architecture.
    """
    network = create_network(metadata.architecture, labels=len(metadata.labels), init=str(folder / WEIGHTS_FILE))
    fold_temperature(network, 1 / metadata.temperature)
    return network


def train_challenger(  # noqa: PLR0913 - each is one thing
    network: nn.Module,
    data: Divided,
    corrections: Sequence[Correction],
    metadata: Metadata,
    *,
    schedule: Schedule,
    replay: Replay,
    folder: Path,
) -> dict[str, Any]:
    """Fine-tune the base's network on corrections and replayed training pictures.

    Of the epochs the one with the lowest log loss counts, over the validation pictures and the corrections together:
    neither forgetting nor not learning goes unnoticed.

    Args:
        network: From `restore_network`.
        data: The original data, divided as the base's was.
        corrections: To learn from.
        metadata: Of the base.
        schedule: How long and how fast.
        replay: The mixture.
        folder: For checkpoints.

    Returns:
        Settings and history, for the new metadata.

    Raises:
        DataError: there is no correction, or see `finetune`.
    """
    if not corrections:
        raise DataError("No accepted correction is left to learn from. Review more feedback.")
    torch.manual_seed(schedule.seed)
    new = as_source(corrections, metadata.labels)
    training, counts = _mix(data, new, replay, seed=schedule.seed, side=round(1.15 * schedule.train_size))
    batch_size = min(
        schedule.batch_size, max(_LEAST_BATCH, len(training.members) // _LEAST_STEPS), len(training.members)
    )
    schedule = replace(schedule, batch_size=batch_size)
    accelerator = create_accelerator(accumulate=schedule.accumulate)
    # Normalisation stays as it is: corrections are few and of one kind, and their statistics would mislead it.
    freeze_batch_norm_2d(network)  # type: ignore[no-untyped-call]
    if metadata.verdict.neither:  # its branch leaves this trunk
        freeze_trunk(network)
    network.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    spec = metadata.preprocessing
    pixels = [
        *pixel_batches(data.examples.source, data.rows("validation"), spec),
        *pixel_batches(new, range(len(new)), spec),
    ]
    labels = np.concatenate([data.labels("validation"), _labels(corrections, metadata.labels)])
    history = finetune(
        network,
        training,
        lambda candidate: (run(candidate, pixels, spec, device=accelerator.device), labels),
        spec,
        schedule,
        accelerator=accelerator,
        folder=folder,
        options="",
    )
    unfreeze_batch_norm_2d(network)  # type: ignore[no-untyped-call]
    return {"schedule": asdict(schedule), "replay": {**asdict(replay), **counts}, "history": history}


def retrain_schedule(metadata: Metadata, schedule: Schedule) -> Schedule:
    """The schedule with crops as large as the base was trained with; where only its head was, as large as it serves."""
    before = metadata.training.get("settings", {}).get("schedule", {}).get("train_size")
    return replace(schedule, train_size=before or metadata.preprocessing.input_size)


def as_source(corrections: Sequence[Correction], labels: tuple[str, ...]) -> Source:
    """Corrections as a data set."""
    return source_of("corrections", [each.image for each in corrections], _labels(corrections, labels).tolist(), labels)


def _labels(corrections: Sequence[Correction], labels: tuple[str, ...]) -> Labels:
    return np.array([labels.index(each.label) for each in corrections], dtype=np.int64)


def _mix(data: Divided, new: Source, replay: Replay, *, seed: int, side: int) -> tuple[TrainingSet, dict[str, int]]:
    """Some old training pictures, and the new ones as often as the mixture asks; also how many that is."""
    old = read_examples(data.examples.source.subset(_draw(data, len(new), replay, seed)), side=side)
    fresh = read_examples(new, side=side)
    repeats = _repeats(len(old), len(fresh), replay)
    members = [*range(len(old)), *(list(range(len(old), len(old) + len(fresh))) * repeats)]
    _log.info("%d corrections, each %d times an epoch, among %d replayed pictures", len(fresh), repeats, len(old))
    counts = {"corrections": len(fresh), "repeats": repeats, "replayed": len(old)}
    return _joined(old, fresh, members), counts


def _draw(data: Divided, corrections: int, replay: Replay, seed: int) -> list[int]:
    """Rows of old training pictures, drawn without replacement."""
    rows = np.array(data.rows("train"), dtype=np.int64)
    wanted = min(len(rows), max(replay.least, replay.per_correction * corrections))
    drawn: list[int] = np.sort(np.random.default_rng(seed).choice(rows, wanted, replace=False)).tolist()
    return drawn


def _repeats(old: int, new: int, replay: Replay) -> int:
    wanted = old * replay.new_share / (1 - replay.new_share) / new
    return min(replay.most_repeats, max(1, math.ceil(wanted)))


def _joined(old: Examples, new: Examples, members: Sequence[int]) -> TrainingSet:
    return TrainingSet(
        squares=np.concatenate([old.squares, new.squares]),
        aspects=np.concatenate([old.aspects, new.aspects]),
        labels=np.concatenate([old.labels, new.labels]),
        members=np.array(members, dtype=np.int64),
    )

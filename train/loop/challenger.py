"""Challengers: networks that start as the base's and learn from answers while they rehearse what it knew.

There are two ways. `LateLearner` trains the late layers on cached maps of the others, in seconds. `FullLearner` trains
everything on pixels, in minutes. Each trains the challenger, its twin without the answers, and one network for each
fold of the answers, always in the same way and from the same seed.
"""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import copy
import logging
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from timm.layers import freeze_batch_norm_2d, unfreeze_batch_norm_2d  # type: ignore[attr-defined]
from torch import nn

from catdog.model.metadata import WEIGHTS_FILE, Metadata, Preprocessing
from train.data.examples import Examples, read_examples
from train.data.source import Source
from train.data.splits import Divided, Split
from train.loop.late import Alike, LateSchedule, Logits, Pictures, predict_late, train_late
from train.metrics import Labels
from train.network.backbone import freeze_trunk
from train.network.create import create_network, fold_temperature
from train.network.finetune import TrainingSet, create_accelerator, finetune
from train.network.inference import pixel_batches, run
from train.options import Augmentation, Schedule

RETRAIN_SCHEDULE = Schedule(
    epochs=4,
    rate=3e-4,
    body_factor=0.5,
    average_decay=0.99,
    smoothing=0.0,
    augmentation=Augmentation(mix_share=0.0),
)
"""Of the whole network. Short: it is good already."""

_LEAST_BATCH = 8
_LEAST_STEPS = 16
"""An epoch over little data has smaller batches rather than fewer steps than this."""
_log = logging.getLogger(__name__)

Members = npt.NDArray[np.bool_]


class Learner(Protocol):
    """A way of making challengers of one base from one list of answers."""

    def learn(self, members: Members, name: str) -> nn.Module:
        """A network that was trained with some of the answers; with none of them it is the twin.

        Args:
            members: Shape (answers,).
            name: What a progress bar, or a checkpoint, calls it.
        """

    def answers(self, network: nn.Module, members: Members) -> Logits:
        """What a network says about some of the answered pictures: shape (n, labels)."""

    def split(self, network: nn.Module, split: Split) -> Logits:
        """What it says about the validation or the test pictures: shape (n, labels)."""

    @property
    def at_once(self) -> int:
        """How many networks may learn at the same time."""

    @property
    def record(self) -> dict[str, Any]:
        """Settings, for the new model's metadata."""


@dataclass(frozen=True, slots=True)
class LateLearner:
    """Trains the late layers on cached maps."""

    champion: nn.Module
    """In evaluation mode."""
    replay: Pictures
    """Old training pictures, and answers that the base was trained with."""
    answered: Pictures
    maps: dict[Split, Pictures]
    """Of validation and test."""
    schedule: LateSchedule
    alike: Alike | None = None
    """Old training pictures that look like the answers."""
    ways: Mapping[str, float] = field(default_factory=dict)
    """What the answers look like, and how many of them."""

    def learn(self, members: Members, name: str) -> nn.Module:
        """See `Learner`."""
        steps = self.schedule.steps(len(self.answered))  # as many for the twin
        teach = partial(train_late, self.champion, self.replay, steps=steps, show=name)
        if members.any():
            return teach(self.answered.some(members), self.schedule, alike=self.alike)
        if self.alike is None:
            return teach(None, self.schedule)
        # How answers look comes from the feedback, too: the twin goes as fast as the challenger, and as far.
        how = self.schedule.alike
        return teach(None, replace(self.schedule, rate=how.rate), champion_share=how.champion_share)

    def answers(self, network: nn.Module, members: Members) -> Logits:
        """See `Learner`."""
        return predict_late(network, self.answered.served[members])

    def split(self, network: nn.Module, split: Split) -> Logits:
        """See `Learner`."""
        return predict_late(network, self.maps[split].served)

    @property
    def at_once(self) -> int:
        """One on each core."""
        return os.cpu_count() or 1

    @property
    def record(self) -> dict[str, Any]:
        """See `Learner`."""
        counts = {"answers": len(self.answered), "replayed": len(self.replay)}
        return {"late": {**asdict(self.schedule), **counts, "ways": dict(self.ways)}}


@dataclass(frozen=True, slots=True)
class Replay:
    """How old and new examples are mixed, so that the network does not forget.

    Experience replay, as in Rolnick et al. 2019 (arXiv:1811.11682).
    """

    per_answer: int = 20
    """Old training pictures for each answer ..."""
    least: int = 2000
    """... at least this many, if there are ..."""
    most: int = 4000
    """... and no more: each costs time, and this many show what the network knew."""
    new_share: float = 0.25
    """Share of an epoch that answers are repeated to fill ..."""
    most_repeats: int = 8
    """... but none more often than this."""

    def draw(self, rows: Sequence[int], answers: int, *, seed: int) -> list[int]:
        """Some of the rows of old training pictures, without replacement."""
        wanted = min(len(rows), self.most, max(self.least, self.per_answer * answers))
        drawn: list[int] = np.sort(np.random.default_rng(seed).choice(rows, wanted, replace=False)).tolist()
        return drawn

    def repeats(self, old: int, new: int) -> int:
        """How often each answer is in an epoch."""
        wanted = old * self.new_share / (1 - self.new_share) / new
        return min(self.most_repeats, max(1, math.ceil(wanted)))


@dataclass(frozen=True, slots=True)
class FullLearner:
    """Trains the whole network on pixels; all but the trunk where the rule for "neither" leaves it."""

    champion: nn.Module
    metadata: Metadata
    data: Divided
    answered: Source
    """Labels numbered as in the model."""
    rehearsed: Source
    """What the base was trained with already; may be empty."""
    schedule: Schedule
    replay: Replay
    folder: Path
    """For checkpoints; runs that are found there go on."""

    def learn(self, members: Members, name: str) -> nn.Module:
        """See `Learner`."""
        network = copy.deepcopy(self.champion)
        torch.manual_seed(self.schedule.seed)
        training = self._mix(members)
        batch = min(self.schedule.batch_size, max(_LEAST_BATCH, len(training.members) // _LEAST_STEPS))
        schedule = replace(self.schedule, batch_size=min(batch, len(training.members)))
        accelerator = create_accelerator(accumulate=schedule.accumulate)
        # Normalisation stays as it is: answers are few and of one kind, and their statistics would mislead it.
        freeze_batch_norm_2d(network)  # type: ignore[no-untyped-call]
        if self.metadata.verdict.neither:  # its branch leaves this trunk
            freeze_trunk(network)
        network.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        pixels = list(pixel_batches(self.data.examples.source, self.data.rows("validation"), self._spec))
        labels = self.data.labels("validation")
        folder = self.folder / name.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        _log.info("%s", name)
        finetune(
            network,
            training,
            lambda candidate: (run(candidate, pixels, self._spec, device=accelerator.device), labels),
            self._spec,
            schedule,
            accelerator=accelerator,
            folder=folder,
            options="",
            start_competes=False,  # the champion would win by pictures that it knows already
        )
        unfreeze_batch_norm_2d(network)  # type: ignore[no-untyped-call]
        return network.to("cpu").eval()

    def answers(self, network: nn.Module, members: Members) -> Logits:
        """See `Learner`."""
        return self._run(network, self.answered, np.flatnonzero(members).tolist())

    def split(self, network: nn.Module, split: Split) -> Logits:
        """See `Learner`."""
        return self._run(network, self.data.examples.source, self.data.rows(split))

    @property
    def at_once(self) -> int:
        """One on all cores."""
        return 1

    @property
    def record(self) -> dict[str, Any]:
        """See `Learner`."""
        return {"schedule": asdict(self.schedule), "replay": asdict(self.replay)}

    @property
    def _spec(self) -> Preprocessing:
        return self.metadata.preprocessing

    def _run(self, network: nn.Module, source: Source, rows: list[int]) -> Logits:
        return run(network, pixel_batches(source, rows, self._spec), self._spec, device=torch.device("cpu"))

    def _mix(self, members: Members) -> TrainingSet:
        """Some old training pictures, and the answers as often as the mixture asks."""
        side = round(1.15 * self.schedule.train_size)
        rows = self.replay.draw(self.data.rows("train"), len(members), seed=self.schedule.seed)
        old = read_examples(self.data.examples.source.subset(rows), side=side)
        parts = [old, *(read_examples(each, side=side) for each in self._new(members))]
        repeats = self.replay.repeats(len(old), sum(map(len, parts[1:])) or 1)
        count = sum(map(len, parts))
        return _joined(parts, [*range(len(old)), *(list(range(len(old), count)) * repeats)])

    def _new(self, members: Members) -> list[Source]:
        chosen = self.answered.subset(np.flatnonzero(members).tolist())
        return [each for each in (self.rehearsed, chosen) if len(each)]


def restore_network(folder: Path, metadata: Metadata) -> nn.Module:
    """The network of a model folder as it was before its temperature was folded into the last layer.

    Raises:
        ModelError: the weights do not fit the architecture.
    """
    network = create_network(metadata.architecture, labels=len(metadata.labels), init=str(folder / WEIGHTS_FILE))
    fold_temperature(network, 1 / metadata.temperature)
    return network.eval()


def retrain_schedule(metadata: Metadata, schedule: Schedule) -> Schedule:
    """The schedule with crops as large as the base was trained with; where only its head was, as large as it serves."""
    before = metadata.training.get("settings", {}).get("schedule", {}).get("train_size")
    return replace(schedule, train_size=before or metadata.preprocessing.input_size)


def out_of_fold(learner: Learner, folds: Labels) -> Logits:
    """What networks say about answers that they never saw: shape (n, labels).

    Args:
        learner: With n answers.
        folds: Shape (n,): the fold of each.
    """
    numbers = np.unique(folds).tolist()

    def asked(number: int) -> Logits:
        network = learner.learn(folds != number, f"fold {number + 1} of {len(numbers)}")
        return learner.answers(network, folds == number)

    with ThreadPoolExecutor(learner.at_once) as pool:
        parts = list(pool.map(asked, numbers))
    found = np.empty((len(folds), parts[0].shape[1]), dtype=np.float32)
    for number, logits in zip(numbers, parts, strict=True):
        found[folds == number] = logits
    return found


def _joined(parts: Sequence[Examples], members: Sequence[int]) -> TrainingSet:
    return TrainingSet(
        squares=np.concatenate([part.squares for part in parts]),
        aspects=np.concatenate([part.aspects for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        members=np.array(members, dtype=np.int64),
    )

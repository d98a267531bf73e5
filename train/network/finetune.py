"""Fine-tuning of the whole network, on one device or several."""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import copy
import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from timm.utils.model_ema import ModelEmaV3
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from tqdm import tqdm

from catdog.errors import DataError, SettingsError
from catdog.model.metadata import Preprocessing
from catdog.model.model import softmax
from train import metrics
from train.metrics import Labels
from train.network.augment import augment, mix
from train.network.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from train.network.create import classifier
from train.network.distill import Lesson, Lessons
from train.network.inference import standardize
from train.options import Schedule

_STEP = 16  # pixels
_log = logging.getLogger(__name__)
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Which pictures in memory to train on; see `Examples`."""

    squares: npt.NDArray[np.uint8]
    aspects: npt.NDArray[np.float32]
    labels: Labels
    members: Labels
    """Their indices."""

    def batch(self, positions: list[int]) -> Batch:
        """Positions among the members (n,), squares (n, 3, side, side), aspects (n,) and labels (n,)."""
        indices = self.members[positions]
        return (
            torch.tensor(positions),
            torch.from_numpy(self.squares[indices]),
            torch.from_numpy(self.aspects[indices]),
            torch.from_numpy(self.labels[indices]),
        )


def balanced(members: Labels, labels: Labels) -> Labels:
    """Members repeated so that every label has as many as the most frequent one; those without a label stay as is.

    Args:
        members: Shape (n,): indices of pictures.
        labels: Shape (n,): of each; negative is none.
    """
    known = labels >= 0
    most = int(np.bincount(labels[known]).max())
    parts = [np.resize(members[labels == label], most) for label in np.unique(labels[known])]
    return np.sort(np.concatenate([members[~known], *parts]))


def create_accelerator(*, precision: str = "no", accumulate: int = 1) -> Accelerator:
    """The devices of this run: one, or what `accelerate launch` set up.

    Raises:
        SettingsError: the devices cannot compute with this precision.
    """
    try:
        return Accelerator(
            cpu=not torch.accelerator.is_available(),  # else several processes without a GPU would each train alone
            mixed_precision=precision,
            gradient_accumulation_steps=accumulate,
            dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True),
        )
    except ValueError as error:
        raise SettingsError(f"--precision {precision} does not work here: {error}. Choose another.") from None


def require_one_batch(pictures: int, schedule: Schedule, accelerator: Accelerator) -> None:
    """Make sure that there is something to train with: a batch for each process; what is left over is not used.

    Raises:
        DataError: there are fewer pictures.
    """
    batch = schedule.batch_size * accelerator.num_processes
    if pictures < batch:
        raise DataError(
            f"There are {pictures} training pictures, fewer than one batch of {batch}. Set a smaller --batch-size."
        )


def finetune(  # noqa: PLR0913 - each is one thing
    network: nn.Module,
    training: TrainingSet,
    validate: Callable[[nn.Module], tuple[npt.NDArray[np.float32], Labels]],
    spec: Preprocessing,
    schedule: Schedule,
    *,
    accelerator: Accelerator,
    folder: Path,
    options: str,
    on_epoch: Callable[[Mapping[str, float]], None] | None = None,
    lessons: Lessons | None = None,
    start_competes: bool = True,
    patience: int | None = None,
) -> list[dict[str, float]]:
    """Train the whole network; it ends with the averaged weights of the epoch with the lowest validation log loss.

    The network as it comes counts as an epoch, so that training never leaves it worse on validation than it was.

    Args:
        network: Its last layer should fit its features already.
        training: What to learn from.
        validate: Gives a network's validation logits (n, labels) and the true labels (n,).
        spec: Gives mean and standard deviation of the input.
        schedule: How long and how fast.
        accelerator: From `create_accelerator`.
        folder: For checkpoints; a run found there goes on.
        options: What the run was asked to do; see `Checkpoint`.
        on_epoch: Called with each new entry of the history, by the main process.
        lessons: Of a teacher, whose `Student` the network then is.
        start_competes: False takes the best of the trained epochs, even if the network was better before.
        patience: Stop after so many epochs in a row without a new best; None never does.

    Returns:
        One entry an epoch: epoch, train_loss, accuracy, auc, log_loss, seconds.

    Raises:
        DataError: the loss became infinite, or there are fewer pictures than one batch.
        SettingsError: the checkpoint is another run's.
    """
    require_one_batch(len(training.members), schedule, accelerator)
    run = _Run(network, training, spec, schedule, accelerator, lessons)
    best, history = copy.deepcopy(network.state_dict()), list[dict[str, float]]()
    start = math.inf
    if (checkpoint := load_checkpoint(folder, options)) is not None:
        best, history, start = checkpoint.best, checkpoint.history, checkpoint.start
        run.restore(checkpoint)
        _log.info("going on after epoch %d", checkpoint.epoch)
    elif start_competes:
        start = _validation(validate, run.average.module)["log_loss"]
        _log.info("validation log loss before the first epoch: %.4f", start)
    with tqdm(
        total=schedule.epochs * len(run.loader), initial=len(history) * len(run.loader), desc="fine-tuning",
        unit="batch", disable=not accelerator.is_main_process,
    ) as bar:  # fmt: skip
        for epoch in range(len(history), schedule.epochs):
            if patience is not None and _epochs_since_best(start, history) >= patience:
                _log.info("stopped after epoch %d: %d without a new best", epoch, patience)
                break
            started = time.monotonic()
            loss = run.train_epoch(epoch, bar)
            entry = {"epoch": float(epoch + 1), "train_loss": loss, **_validation(validate, run.average.module)}
            if entry["log_loss"] < min([start, *(each["log_loss"] for each in history)]):
                best = copy.deepcopy(run.average.module.state_dict())
            history.append({**entry, "seconds": round(time.monotonic() - started, 1)})
            if accelerator.is_main_process:
                bar.write(_line(history[-1]), file=sys.stderr)
                save_checkpoint(folder, run.checkpoint(options, best, history, start))
                if on_epoch is not None:
                    on_epoch(history[-1])
    if start < min((each["log_loss"] for each in history), default=math.inf):
        _log.warning("no epoch was better on validation than the start: its weights are kept")
    network.load_state_dict(best)
    return history


def _epochs_since_best(start: float, history: Sequence[Mapping[str, float]]) -> int:
    losses = [start, *(each["log_loss"] for each in history)]
    return len(losses) - 1 - losses.index(min(losses))


class _Run:
    """The moving parts of one fine-tuning."""

    def __init__(  # noqa: PLR0913, PLR0917 - each is one thing
        self,
        network: nn.Module,
        training: TrainingSet,
        spec: Preprocessing,
        schedule: Schedule,
        accelerator: Accelerator,
        lessons: Lessons | None = None,
    ) -> None:
        self.lessons = lessons
        self.lesson: Lesson | None = None
        self.schedule = schedule
        self.accelerator = accelerator
        self.spec = spec
        self.steps = 0
        self.classes = classifier(network).out_features
        self.average = ModelEmaV3(network, decay=schedule.average_decay, use_warmup=True, device=accelerator.device)
        loader: DataLoader[Any] = DataLoader(
            list(range(len(training.members))),  # type: ignore[arg-type] # a list is enough
            batch_size=schedule.batch_size, shuffle=True, drop_last=True, collate_fn=training.batch,
        )  # fmt: skip
        self.network, self.optimizer, self.loader = accelerator.prepare(
            network, torch.optim.AdamW(_parameter_groups(network, schedule)), loader
        )

    def train_epoch(self, epoch: int, bar: "tqdm[None]") -> float:
        """One pass over the training pictures; returns the mean loss."""
        # Seeded by epoch, so that a resumed run draws what an uninterrupted one would have drawn.
        self.lesson = None if self.lessons is None else self.lessons.lesson(epoch)
        torch.manual_seed(1_000_003 * self.schedule.seed + 1009 * epoch + self.accelerator.process_index)
        self.loader.set_epoch(epoch)
        self.network.train()
        total = 0.0
        for index, batch in enumerate(self.loader):
            self._set_rate((epoch + index / len(self.loader)) / self.schedule.epochs)
            loss, accuracy = self._step(batch)
            total += loss
            bar.set_postfix_str(f"epoch {epoch + 1}, loss {total / (index + 1):.4f}, accuracy {accuracy:.3f}")
            bar.update()
        return total / len(self.loader)

    def _step(self, batch: Batch) -> tuple[float, float]:
        """One batch; returns its loss, and the accuracy before mixing blurs what is right."""
        positions, squares, aspects, labels = batch
        how = self.schedule.augmentation
        views = None if self.lesson is None else self.lesson.theta[positions]
        pixels = augment(squares, aspects, side=self._side(), how=how, theta=views)
        pixels = standardize(pixels, self.spec)
        shares = labels
        if self.lesson is None:
            pixels, mixed = mix(pixels, labels, classes=self.classes, how=how)
            shares = mixed.argmax(dim=1)
        with self.accelerator.accumulate(self.network):
            with self.accelerator.autocast():
                if self.lesson is None:
                    logits = self.network(pixels)
                    loss = functional.cross_entropy(logits, mixed, label_smoothing=self.schedule.smoothing)
                else:
                    logits, own = self.network(pixels)
                    loss = self.lesson.loss(positions, logits, own, labels)
            self.accelerator.backward(loss)
            self.optimizer.step()
            self.optimizer.zero_grad()
        if self.accelerator.sync_gradients:
            self.steps += 1
            self.average.update(self.accelerator.unwrap_model(self.network), step=self.steps)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DataError("The loss became infinite. Set a smaller --rate.")
        return value, float((logits.argmax(dim=1) == shares).float().mean())

    def _side(self) -> int:
        """This batch's side: sides vary in steps that the network's strides like."""
        size, steps = self.schedule.train_size, self.schedule.size_steps
        return size if not steps else size + _STEP * int(torch.randint(-steps, steps + 1, ()))

    def _set_rate(self, progress: float) -> None:
        """Linear warm-up, then a cosine to zero; `progress` is the share of the run that is done."""
        warmup = self.schedule.warmup
        factor = progress / warmup if progress < warmup else _cosine((progress - warmup) / (1 - warmup))
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_rate"] * factor

    def checkpoint(
        self, options: str, best: dict[str, torch.Tensor], history: list[dict[str, float]], start: float
    ) -> Checkpoint:
        """Everything that `restore` needs."""
        return Checkpoint(
            epoch=len(history),
            steps=self.steps,
            options=options,
            network=self.accelerator.unwrap_model(self.network).state_dict(),
            average=self.average.module.state_dict(),
            optimizer=self.optimizer.state_dict(),
            best=best,
            history=history,
            start=start,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on where a checkpoint was made."""
        self.steps = checkpoint.steps
        self.accelerator.unwrap_model(self.network).load_state_dict(checkpoint.network)
        self.average.module.load_state_dict(checkpoint.average)
        self.optimizer.load_state_dict(checkpoint.optimizer)


def _parameter_groups(network: nn.Module, schedule: Schedule) -> list[dict[str, Any]]:
    """Head and body, each with and without weight decay: biases and normalisation layers have none."""
    head = {id(parameter) for parameter in classifier(network).parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in filter(lambda each: each.requires_grad, network.parameters()):
        groups.setdefault((id(parameter) in head, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "peak_rate": schedule.rate * (1.0 if in_head else schedule.body_factor),
            "weight_decay": schedule.weight_decay if decayed else 0.0,
        }
        for (in_head, decayed), parameters in groups.items()
    ]


def _validation(
    validate: Callable[[nn.Module], tuple[npt.NDArray[np.float32], Labels]], network: nn.Module
) -> dict[str, float]:
    network.eval()
    logits, labels = validate(network)
    probabilities = softmax(logits)
    return {
        "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        "auc": metrics.auc(probabilities, labels) or math.nan,
        "log_loss": metrics.log_loss(probabilities, labels),
    }


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _line(entry: dict[str, float]) -> str:
    return (
        f"epoch {entry['epoch']:.0f}: train loss {entry['train_loss']:.4f}; validation accuracy "
        f"{entry['accuracy']:.4f}, AUC {entry['auc']:.4f}, log loss {entry['log_loss']:.4f} ({entry['seconds']:.0f} s)"
    )

"""Training the head on cached features: a second for a model that a hundred answers are to change.

The champion is good already, and the answers are few and one-sided, so that the question is what keeps it good.

- People report mistakes far more often than what is right. While it learns from answers, the network is told so: the
  champion's label is held to be as much rarer among them as it is reported less (logit adjustment, Menon et al. 2021,
  arXiv:2007.07314). Otherwise it would learn to say the opposite of the champion.
- Old training pictures in the style of the reported ones, see `train.loop.style`, tell where the champion is right.
- On old pictures as they are it keeps the champion's logits (dark experience replay, Buzzega et al. 2020,
  arXiv:2004.07211): where the champion is certain, its probabilities would not notice a change.
- The champion's probabilities soften the labels of answers, so that a wrong click on a picture that it is sure about
  weighs less, and each step pulls the weights back towards the champion's (L2-SP, Li et al. 2018, arXiv:1802.01483).
"""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from catdog.errors import DataError
from catdog.model.model import softmax
from train.metrics import Labels
from train.network.backbone import head_logits, head_modules

_BATCH = 256

Features = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float32]
Members = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LateSchedule:
    """How the head learns. docs/loop.md compares the alternatives."""

    steps: int = 200
    batch_size: int = 160
    """Views of pictures in each step, those in style not counted."""
    new_share: float = 0.25
    """Share of answered pictures among them; the rest are old training pictures."""
    styled_share: float = 0.4
    """Old pictures in the style of answered ones besides, relative to the batch."""
    rate: float = 2e-3
    """Peak learning rate; it ends at zero, along a cosine."""
    pull: float = 1.0
    """How far each step goes back towards the champion, relative to the rate."""
    trust: float = 0.9
    """Share of a person's label in its target; the rest are the champion's probabilities."""
    reporting: float = 4.0
    """How many times more often people answer where the champion is wrong than where it is right."""
    hold: float = 0.2
    """Weight of the squared change of old pictures' logits."""
    champion_share: float = 0.0
    """Of the champion's weights in the final ones (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903)."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the frozen layers make of n pictures, each seen in one or more ways, and what they show."""

    features: Features
    """Shape (n, views, width)."""
    labels: Labels
    """Shape (n,)."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def served(self) -> Features:
        """Shape (n, width): each as the app sees it."""
        return self.features[:, 0]

    def some(self, members: Members | Labels) -> "Pictures":
        """Only some of them."""
        return Pictures(self.features[members], self.labels[members])


@dataclass(frozen=True, slots=True)
class Answered:
    """Pictures that people answered for, and old ones in their style."""

    pictures: Pictures
    styled: Features
    """Shape (n, m, width): m old pictures in the style of each answered one; m may be 0."""
    styled_labels: Labels
    """Shape (n, m): what these show."""

    def __len__(self) -> int:
        return len(self.pictures)

    def some(self, members: Members) -> "Answered":
        """Only some of them, and only what is in their style."""
        return Answered(self.pictures.some(members), self.styled[members], self.styled_labels[members])


def train_late(
    champion: nn.Module, replay: Pictures, answered: Answered | None, schedule: LateSchedule, *, show: str | None = None
) -> nn.Module:
    """A copy of the champion whose head learned from answers.

    Args:
        champion: In evaluation mode; it stays as it is.
        replay: Old training pictures.
        answered: What people say; None trains a twin, to which old pictures are shown in their place.
        schedule: How.
        show: What a progress bar calls it; None shows none.

    Raises:
        DataError: the loss became infinite.
    """
    network = copy.deepcopy(champion)
    parameters = _trainable(network)
    lessons = _lessons(champion, replay, answered, schedule)
    with _one_thread():
        _teach(network, parameters, lessons, schedule, show)
    return network.eval()


def _teach(
    network: nn.Module,
    parameters: list[nn.Parameter],
    lessons: "Sequence[_Lesson]",
    schedule: LateSchedule,
    show: str | None,
) -> None:
    start = [each.detach().clone() for each in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=schedule.rate, weight_decay=0.0)
    for step in tqdm(range(schedule.steps), desc=show, unit="step", leave=False, disable=None if show else True):
        rate = schedule.rate * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        parts = [each.draw() for each in lessons]
        said = head_logits(network, torch.from_numpy(np.concatenate(parts))).split_with_sizes(
            [len(part) for part in parts]
        )
        loss = sum((each.loss(logits) for each, logits in zip(lessons, said, strict=True)), torch.zeros(()))
        if not torch.isfinite(loss):
            raise DataError("The loss became infinite. Set a smaller --rate.")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        _move(parameters, start, min(1.0, rate * schedule.pull))
    _move(parameters, start, schedule.champion_share)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The steps are small: a second thread would mostly wait, and keep a core busy with that."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.inference_mode()
def predict_late(network: nn.Module, features: Features) -> Logits:
    """Logits of shape (n, labels), from features of shape (n, width)."""
    parts = [
        head_logits(network, torch.from_numpy(features[at : at + _BATCH])).numpy()
        for at in range(0, len(features), _BATCH)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)


class _Lesson(Protocol):
    """Something to learn from."""

    def draw(self) -> Features:
        """A batch of features, shape (n, width)."""

    def loss(self, logits: torch.Tensor) -> torch.Tensor:
        """Of what the network says about the batch drawn last."""


class _Old:
    """Old pictures keep the champion's logits."""

    def __init__(self, champion: nn.Module, pictures: Pictures, count: int, schedule: LateSchedule) -> None:
        self.features, self.count, self.weight = _flat(pictures.features), count, schedule.hold
        self.logits = predict_late(champion, self.features)
        self.random = np.random.default_rng([schedule.seed, 0])

    def draw(self) -> Features:
        self.chosen = self.random.integers(0, len(self.features), self.count)
        return self.features[self.chosen]

    def loss(self, logits: torch.Tensor) -> torch.Tensor:
        change: torch.Tensor = (logits - torch.from_numpy(self.logits[self.chosen])).square().mean()
        return self.weight * change


class _New:
    """Answers, of which those that the champion has right are reported less often."""

    def __init__(self, champion: nn.Module, pictures: Pictures, count: int, schedule: LateSchedule) -> None:
        self.pictures, self.count = pictures, count
        self.random = np.random.default_rng([schedule.seed, 1])
        probabilities = softmax(predict_late(champion, pictures.served)).astype(np.float32)
        one_hot = np.eye(probabilities.shape[1], dtype=np.float32)
        self.targets = schedule.trust * one_hot[pictures.labels] + (1 - schedule.trust) * probabilities
        top = probabilities.argmax(axis=1)
        # Where nobody confirms anything, nothing tells how often the champion is right about what they show.
        ratio = schedule.reporting if (top == pictures.labels).any() else 1.0
        self.rarer = math.log(ratio) * one_hot[top]

    def draw(self) -> Features:
        self.chosen = self.random.integers(0, len(self.pictures), self.count)
        return self.pictures.features[self.chosen, self.random.integers(0, self.pictures.features.shape[1], self.count)]

    def loss(self, logits: torch.Tensor) -> torch.Tensor:
        as_reported = logits - torch.from_numpy(self.rarer[self.chosen])
        return functional.cross_entropy(as_reported, torch.from_numpy(self.targets[self.chosen]))


class _Styled:
    """Old pictures in the style of answered ones, with their own labels, where the champion still sees these.

    Where it does not, the style may have taken what the label is about, such as a colour.
    """

    def __init__(self, champion: nn.Module, answered: Answered, count: int, schedule: LateSchedule) -> None:
        features, labels = _flat(answered.styled), answered.styled_labels.ravel()
        kept = predict_late(champion, features).argmax(axis=1) == labels if len(labels) else np.empty(0, np.bool_)
        self.features: Features = features[kept]
        self.labels: Labels = labels[kept]
        self.count = count
        self.random = np.random.default_rng([schedule.seed, 2])

    def draw(self) -> Features:
        self.chosen = self.random.integers(0, len(self.labels), self.count)
        return self.features[self.chosen]

    def loss(self, logits: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits, torch.from_numpy(self.labels[self.chosen]))


def _lessons(champion: nn.Module, replay: Pictures, answered: Answered | None, schedule: LateSchedule) -> list[_Lesson]:
    new = max(1, round(schedule.new_share * schedule.batch_size))
    lessons: list[_Lesson] = [_Old(champion, replay, max(1, schedule.batch_size - new), schedule)]
    if answered is None:
        lessons.append(_New(champion, replay, new, replace(schedule, reporting=1.0)))
    else:
        lessons.append(_New(champion, answered.pictures, new, schedule))
        styled = _Styled(champion, answered, round(schedule.styled_share * schedule.batch_size), schedule)
        if styled.count and len(styled.labels):
            lessons.append(styled)
    return lessons


def _flat(features: Features) -> Features:
    flat: Features = features.reshape(-1, features.shape[-1])
    return flat


def _trainable(network: nn.Module) -> list[nn.Parameter]:
    network.requires_grad_(False)
    parameters = [each for module in head_modules(network) for each in module.parameters()]
    for each in parameters:
        each.requires_grad_(True)
    return parameters


@torch.no_grad()
def _move(parameters: Sequence[torch.Tensor], start: Sequence[torch.Tensor], share: float) -> None:
    """Move weights a share of the way back to where they started."""
    for parameter, origin in zip(parameters, start, strict=True):
        parameter.lerp_(origin, share)

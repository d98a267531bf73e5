"""Training the head on what the layers before it make of pictures: seconds for what a hundred answers are to change.

The champion is good already, and the answers are few, so that the question is what keeps it good. It rehearses old
training pictures beside the answers (Rolnick et al. 2019, arXiv:1811.11682). Its own probabilities soften the targets
of both: on old pictures they say more than a label does (Hinton et al. 2015, arXiv:1503.02531), and a wrong click on a
picture that it is sure about weighs less. Each step pulls the weights back towards the champion's (L2-SP, Li et al.
2018, arXiv:1802.01483).

Where the answers are of a kind that old pictures can be changed into, see `train.data.alike`, these teach most of it:
the target is the old picture's label, softened by what the champion says about the picture as it was. Old pictures as
they are keep the champion's logits then (dark experience replay, Buzzega et al. 2020, arXiv:2004.07211): where it is
certain, its probabilities would not notice a change.
"""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import copy
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from train.network.backbone import has_trunk, head_logits, head_modules

_BATCH = 64
_log = logging.getLogger(__name__)

Maps = npt.NDArray[np.float16]
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AlikeSchedule:
    """How the head learns where old pictures can be made to look like the answers."""

    steps: int = 400
    batch_size: int = 128
    """Old pictures in each step, as they are and changed."""
    share: float = 0.5
    """Share of changed ones among them."""
    answers: float = 0.1
    """Weight of answers, and their number relative to the batch."""
    rate: float = 7e-4
    pull: float = 1.0
    trust: float = 0.7
    """Share of a changed picture's label in its target; the rest is what the champion says about it as it was."""
    hold: float = 2.0
    """Weight of the squared change of old pictures' logits."""
    champion_share: float = 0.1
    """Of the champion's weights in the final ones (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903): what it has right
    about such pictures mostly stays right."""


@dataclass(frozen=True, slots=True)
class LateSchedule:
    """How the head learns."""

    epochs: int = 30
    """How often each answer is seen, about ..."""
    least_steps: int = 60
    most_steps: int = 100
    batch_size: int = 64
    """Views of pictures in each step."""
    new_share: float = 0.375
    """Share of answered pictures among them; the rest are old training pictures."""
    rate: float = 1e-3
    """Peak learning rate; it ends at zero, along a cosine."""
    pull: float = 0.1
    """How far each step goes back towards the champion, relative to the rate."""
    trust: float = 0.8
    """Share of a person's label in its target; the rest are the champion's probabilities."""
    rehearse: float = 0.5
    """Share of the champion's probabilities in the target of an old picture; the rest is its label."""
    alike: AlikeSchedule = field(default_factory=AlikeSchedule)
    seed: int = 0

    @property
    def new(self) -> int:
        """Views of answered pictures in each step."""
        return max(1, round(self.new_share * self.batch_size))

    def steps(self, answers: int) -> int:
        """How many for so many answers."""
        return min(self.most_steps, max(self.least_steps, math.ceil(self.epochs * answers / self.new)))


@dataclass(frozen=True, slots=True)
class Pictures:
    """The last maps of n pictures, each seen in one or more ways, and what they show."""

    maps: Maps
    """Shape (n, views, channels, h, w); of a MobileNetV3 the means over all places, so that h and w are 1."""
    labels: Labels
    """Shape (n,)."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def served(self) -> Maps:
        """Shape (n, channels, h, w): each as the app sees it."""
        return self.maps[:, 0]

    def some(self, members: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "Pictures":
        """Only some of them."""
        return Pictures(self.maps[members], self.labels[members])


@dataclass(frozen=True, slots=True)
class Alike:
    """Old training pictures that were changed to look like answers."""

    pictures: Pictures
    before: Maps
    """Shape (n, channels, h, w): as they were."""


def train_late(  # noqa: PLR0913 - each is one thing
    champion: nn.Module,
    replay: Pictures,
    answers: Pictures | None,
    schedule: LateSchedule,
    *,
    steps: int,
    alike: Alike | None = None,
    champion_share: float = 0.0,
    show: str | None = None,
) -> nn.Module:
    """A copy of the champion that learned from answers while it rehearsed.

    Args:
        champion: In evaluation mode; it stays as it is.
        replay: Old training pictures.
        answers: What people say; None trains a twin, which does the same without them.
        schedule: How.
        steps: How many; those of `schedule.alike` count where there is something alike.
        alike: Old training pictures that look like the answers.
        champion_share: Of the champion's weights in the final ones; where there is something alike, that of
            `schedule.alike` counts.
        show: What a progress bar calls it; None shows none.

    Raises:
        DataError: the loss became infinite.
    """
    network = copy.deepcopy(champion)
    if alike is None:
        lessons = _rehearsal(champion, replay, answers, schedule)
        how = _Steps(steps, schedule.rate, schedule.pull, champion_share)
    else:
        lessons, how = _imitation(champion, replay, answers, alike, schedule), _Steps.of(schedule.alike)
    parameters = _trainable(network)
    with _one_thread(), _as_matrix(network):
        _teach(network, parameters, lessons, how, show)
    return network.eval()


@contextmanager
def _one_thread() -> Iterator[None]:
    """The steps of a head are small: a second thread would mostly wait, and keep a core busy with that."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Matrix(nn.Module):
    """What a 1 x 1 convolution makes of maps with one place: the same numbers, in a fourth of the time."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Shape (n, channels, 1, 1)."""
        weight = self.convolution.weight.flatten(1)
        return functional.linear(maps.flatten(1), weight, self.convolution.bias)[..., None, None]


@contextmanager
def _as_matrix(network: nn.Module) -> Iterator[None]:
    """Let the head of a network whose maps have one place compute its convolution as a matrix product."""
    convolution = getattr(network, "conv_head", None)
    if not (has_trunk(network) and isinstance(convolution, nn.Conv2d) and convolution.kernel_size == (1, 1)):
        yield
        return
    network.conv_head = _Matrix(convolution)
    try:
        yield
    finally:
        network.conv_head = convolution


@dataclass(frozen=True, slots=True)
class _Steps:
    count: int
    rate: float
    pull: float
    champion_share: float

    @classmethod
    def of(cls, schedule: AlikeSchedule) -> "_Steps":
        return cls(schedule.steps, schedule.rate, schedule.pull, schedule.champion_share)


def _teach(
    network: nn.Module, parameters: list[nn.Parameter], lessons: "Sequence[_Lesson]", how: _Steps, show: str | None
) -> None:
    start = [each.detach().clone() for each in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=how.rate, weight_decay=0.0, fused=True)
    for step in tqdm(range(how.count), desc=show, unit="step", leave=False, disable=None if show else True):
        rate = how.rate * 0.5 * (1 + math.cos(math.pi * step / how.count))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = sum((lesson.loss(network) for lesson in lessons), torch.zeros(()))
        if not torch.isfinite(loss):
            raise DataError("The loss became infinite. Set a smaller --rate.")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        _move(parameters, start, min(1.0, rate * how.pull))
    _move(parameters, start, how.champion_share)


@torch.inference_mode()
def predict_late(network: nn.Module, maps: Maps) -> Logits:
    """Logits of shape (n, labels), from maps of shape (n, channels, h, w)."""
    parts = [head_logits(network, _tensor(maps[at : at + _BATCH])).numpy() for at in range(0, len(maps), _BATCH)]
    return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)


class _Lesson(Protocol):
    """Something to learn from."""

    def loss(self, network: nn.Module) -> torch.Tensor:
        """Of a batch that is drawn anew each time."""


class _Labelled:
    """Pictures with labels, softened by what the champion says about them."""

    def __init__(  # noqa: PLR0913 - each is one thing
        self,
        champion: nn.Module,
        pictures: Pictures,
        count: int,
        trust: float,
        random: np.random.Generator,
        *,
        weight: float = 1.0,
        before: Maps | None = None,
    ) -> None:
        self.pictures, self.count, self.random, self.weight = pictures, count, random, weight
        seen = pictures.served if before is None else before
        probabilities = softmax(predict_late(champion, seen)).astype(np.float32)
        one_hot = np.eye(probabilities.shape[1], dtype=np.float32)[pictures.labels]
        self.targets = trust * one_hot + (1 - trust) * probabilities

    def loss(self, network: nn.Module) -> torch.Tensor:
        chosen, views = _drawn(self.pictures.maps, self.count, self.random)
        logits = head_logits(network, _tensor(self.pictures.maps[chosen, views]))
        return self.weight * functional.cross_entropy(logits, torch.from_numpy(self.targets[chosen]))


class _Held:
    """Old pictures keep the champion's logits."""

    def __init__(
        self, champion: nn.Module, pictures: Pictures, count: int, weight: float, random: np.random.Generator
    ) -> None:
        self.maps, self.count, self.random, self.weight = pictures.maps, count, random, weight
        logits = predict_late(champion, self.maps.reshape(-1, *self.maps.shape[2:]))
        self.logits = logits.reshape(*self.maps.shape[:2], -1)

    def loss(self, network: nn.Module) -> torch.Tensor:
        chosen, views = _drawn(self.maps, self.count, self.random)
        before = torch.from_numpy(self.logits[chosen, views])
        change: torch.Tensor = (head_logits(network, _tensor(self.maps[chosen, views])) - before).square().mean()
        return self.weight * change


def _rehearsal(
    champion: nn.Module, replay: Pictures, answers: Pictures | None, schedule: LateSchedule
) -> list[_Lesson]:
    """Old pictures, and answers beside them."""
    old = schedule.batch_size - schedule.new
    random = (np.random.default_rng(schedule.seed) for _ in range(2))
    lessons: list[_Lesson] = []
    if old:
        lessons.append(_Labelled(champion, replay, old, 1 - schedule.rehearse, next(random)))
    if answers is not None:
        lessons.append(_Labelled(champion, answers, schedule.new, schedule.trust, next(random)))
    return lessons


def _imitation(
    champion: nn.Module, replay: Pictures, answers: Pictures | None, alike: Alike, schedule: LateSchedule
) -> list[_Lesson]:
    """Old pictures as they are and as the answers look, and a few answers."""
    how = schedule.alike
    random = [np.random.default_rng([schedule.seed, number]) for number in range(3)]
    like = max(1, round(how.share * how.batch_size))
    new = round(how.answers * how.batch_size)
    lessons: list[_Lesson] = [
        _Held(champion, replay, max(1, how.batch_size - like), how.hold, random[0]),
        _Labelled(champion, alike.pictures, like, how.trust, random[1], before=alike.before),
    ]
    if answers is not None and new:
        lessons.append(_Labelled(champion, answers, new, schedule.trust, random[2], weight=how.answers))
    return lessons


def _drawn(maps: Maps, count: int, random: np.random.Generator) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which pictures, and which view of each."""
    return random.integers(0, len(maps), count), random.integers(0, maps.shape[1], count)


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


def _tensor(maps: Maps) -> torch.Tensor:
    return torch.from_numpy(maps.astype(np.float32)).contiguous(memory_format=torch.channels_last)

"""Training the late layers on maps of a frozen backbone: seconds for a model that a hundred answers are to change.

The champion is good already, and the answers are few, so that the question is what keeps it good. It rehearses old
training pictures beside the answers (Rolnick et al. 2019, arXiv:1811.11682). Its own probabilities soften the targets
of both: on old pictures they say more than a label does (Hinton et al. 2015, arXiv:1503.02531), and a wrong click on a
picture that it is sure about weighs less. Each step pulls the weights back towards the champion's (L2-SP, Li et al.
2018, arXiv:1802.01483), and the result is averaged with them (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903).
"""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import copy
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from catdog.errors import DataError
from catdog.model.model import softmax
from train.metrics import Labels
from train.network.backbone import late_logits, late_modules

_BATCH = 64
_log = logging.getLogger(__name__)

Maps = npt.NDArray[np.float16]
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LateSchedule:
    """How the late layers learn."""

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
    depth: str = "head"
    """Which layers learn: `classifier` alone, the `head`, the `last` stage too, or all `late` ones."""
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
    """What the backbone makes of n pictures, each seen in one or more ways, and what they show."""

    maps: Maps
    """Shape (n, views, channels, h, w)."""
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


def train_late(  # noqa: PLR0913 - each is one thing
    champion: nn.Module,
    replay: Pictures,
    answers: Pictures | None,
    schedule: LateSchedule,
    *,
    steps: int,
    show: str | None = None,
) -> nn.Module:
    """A copy of the champion that learned from answers while it rehearsed.

    Args:
        champion: In evaluation mode; it stays as it is.
        replay: Old training pictures.
        answers: What people say; None trains a twin, which does the same without them.
        schedule: How.
        steps: How many.
        show: What a progress bar calls it; None shows none.

    Raises:
        DataError: the loss became infinite.
    """
    network = copy.deepcopy(champion)
    parameters = _trainable(network, schedule.depth)
    start = [each.detach().clone() for each in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=schedule.rate, weight_decay=0.0)
    old, new = (None if each is None else _Drawer(champion, each, schedule) for each in (replay, answers))
    for step in tqdm(range(steps), desc=show, unit="step", leave=False, disable=None if show else True):
        rate = schedule.rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        parts = [old.draw(schedule.batch_size - schedule.new, 1 - schedule.rehearse)] if old else []
        parts += [new.draw(schedule.new, schedule.trust)] if new else []
        loss = sum((_loss(network, *part) for part in parts), torch.zeros(()))
        if not torch.isfinite(loss):
            raise DataError("The loss became infinite. Set a smaller --rate.")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        _move(parameters, start, rate * schedule.pull)
    return network.eval()


def _loss(network: nn.Module, maps: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(late_logits(network, maps), targets)


@torch.inference_mode()
def predict_late(network: nn.Module, maps: Maps) -> Logits:
    """Logits of shape (n, labels), from maps of shape (n, channels, h, w)."""
    parts = [late_logits(network, _tensor(maps[at : at + _BATCH])).numpy() for at in range(0, len(maps), _BATCH)]
    return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)


class _Drawer:
    """Draws views of pictures, with the champion's probabilities of each as it is served."""

    def __init__(self, champion: nn.Module, pictures: Pictures, schedule: LateSchedule) -> None:
        self.pictures = pictures
        self.random = np.random.default_rng(schedule.seed)
        self.probabilities = softmax(predict_late(champion, pictures.served)).astype(np.float32)
        self.one_hot = np.eye(self.probabilities.shape[1], dtype=np.float32)[pictures.labels]

    def draw(self, count: int, trust: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps (count, channels, h, w) and targets (count, labels)."""
        chosen = self.random.integers(0, len(self.pictures), count)
        views = self.random.integers(0, self.pictures.maps.shape[1], count)
        targets = trust * self.one_hot[chosen] + (1 - trust) * self.probabilities[chosen]
        return _tensor(self.pictures.maps[chosen, views]), torch.from_numpy(targets)


def _trainable(network: nn.Module, depth: str) -> list[nn.Parameter]:
    network.requires_grad_(False)
    parameters = [each for module in late_modules(network, depth) for each in module.parameters()]
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

"""What the gate judges by: the answers of champion, challenger and twin to the same pictures.

The *twin* is trained as the challenger is, from the same seed, on the same replayed pictures, but without the feedback.
People report what the champion has wrong, so any other model looks better than the champion on their answers. The twin
is such another model: whatever the challenger has over it comes from the feedback.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from train.evaluation.slices import Mask
from train.metrics import Floats, Labels, wilson

_TINY = 1e-12


class Asked(StrEnum):
    """How an answer came about."""

    VOLUNTEERED = "volunteered"
    """Somebody pressed a button."""
    SAMPLE = "sample"
    """From the random sample (`CATDOG_AUDIT_SHARE`): labelled by the maintainer, whatever the model said."""
    SHADOW = "shadow"
    """Volunteered for a picture about which the champion and a challenger in shadow disagreed."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """The probabilities that each model gives for the same n pictures."""

    labels: Labels
    """Shape (n,): the true ones."""
    champion: Floats
    """Shape (n, labels)."""
    challenger: Floats
    twin: Floats

    def __len__(self) -> int:
        return len(self.labels)

    def some(self, mask: Mask) -> "Outputs":
        """Only some of them."""
        return Outputs(self.labels[mask], self.champion[mask], self.challenger[mask], self.twin[mask])

    def right(self, model: str) -> npt.NDArray[np.bool_]:
        """Shape (n,): where the top label of `champion`, `challenger` or `twin` is the true one."""
        probabilities: Floats = getattr(self, model)
        right: npt.NDArray[np.bool_] = probabilities.argmax(axis=1) == self.labels
        return right

    def loss(self, model: str) -> Floats:
        """Shape (n,): log loss of a model in nats."""
        probabilities: Floats = getattr(self, model)
        return -np.log(np.maximum(probabilities[np.arange(len(self)), self.labels], _TINY))

    def gains(self, over: str) -> npt.NDArray[np.int64]:
        """Shape (n,): 1 where the challenger is right and the other model wrong, -1 for the reverse, else 0."""
        return self.right("challenger").astype(np.int64) - self.right(over).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How the champion fares on a kind of picture, whoever reports what: on old ones that were made to look so."""

    wrong: int
    """So many it has wrong ..."""
    count: int
    """... of so many."""

    @property
    def error_rate(self) -> float:
        """At least this share it has wrong (Wilson's 95% interval)."""
        return wilson(self.wrong, self.count)[0]


@dataclass(frozen=True, slots=True)
class Answers:
    """People's answers, one entry per picture. Each challenger output is out of fold: its model never saw the picture.

    The folds are of whole groups. One twin serves all folds, since it never sees any of these pictures.
    """

    outputs: Outputs
    groups: npt.NDArray[np.int64]
    """Shape (n,): near-duplicates share a number."""
    asked: tuple[Asked, ...]
    """n of them."""
    row_ids: tuple[tuple[str, ...], ...]
    """n of them: the feedback rows behind each picture."""
    images: tuple[bytes, ...] = field(default=(), repr=False)
    """n of them, or none: as sent, for the report's page."""
    likeness: Likeness | None = None
    """Of old pictures that were made to look as these do; None if nothing is known."""

    def __len__(self) -> int:
        return len(self.outputs)

    def which(self, *asked: Asked) -> Mask:
        """Shape (n,): the answers that came about in one of these ways."""
        return np.array([each in asked for each in self.asked], dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Which of n pictures each model's rule turns away as `neither`; the twin's rule is the champion's."""

    champion: Mask
    """Shape (n,)."""
    challenger: Mask

    def __len__(self) -> int:
        return len(self.champion)


@dataclass(frozen=True, slots=True)
class Rejection:
    """What the rule for "neither" makes of pictures."""

    neither: TurnedAway
    """Of answers that say `neither`; the challenger's out of fold."""
    known: TurnedAway
    """Of those that the champion has learned."""
    answers: TurnedAway
    """Of the answers that name a label, as `Answers` has them; the challenger's out of fold."""
    test: TurnedAway
    """Of the test pictures, all of which show one of the labels."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Processor time of one picture, in milliseconds."""

    champion_ms: float
    challenger_ms: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the gate looks at."""

    test: Outputs
    """The fixed test set, at least one picture; the challenger is the one that would be published."""
    slices: Mapping[str, Mask]
    """From a kind of picture to which of the test pictures are of it, shape (n,)."""
    answers: Answers
    latency: Latency
    rejection: Rejection | None = None
    """None if there is nothing to learn for the rule for "neither", or the model has none."""
    validation: Outputs | None = None
    """The validation pictures, if they count beside the test set: they chose the temperature, and no more."""

    @property
    def kept(self) -> Outputs:
        """The pictures that were kept from training: test and validation."""
        return joined(self.test, self.validation) if self.validation else self.test

    @property
    def unselected(self) -> Outputs:
        """Those, and the random sample."""
        return joined(self.kept, self.answers.outputs.some(self.answers.which(Asked.SAMPLE)))


def joined(one: Outputs, other: Outputs) -> Outputs:
    """The pictures of both."""
    return Outputs(
        np.concatenate([one.labels, other.labels]),
        np.concatenate([one.champion, other.champion]),
        np.concatenate([one.challenger, other.challenger]),
        np.concatenate([one.twin, other.twin]),
    )


def no_answers(labels: int) -> Answers:
    """Answers of nobody, for a model of so many labels."""
    none = np.empty((0, labels))
    outputs = Outputs(np.empty(0, dtype=np.int64), none, none, none)
    return Answers(outputs, np.empty(0, dtype=np.int64), (), ())


def folds(groups: Sequence[int] | npt.NDArray[np.int64], *, count: int = 5, seed: int = 0) -> npt.NDArray[np.int64]:
    """A fold for each picture, near-duplicates in the same one.

    Args:
        groups: Shape (n,): near-duplicates share a number.
        count: How many folds; fewer if there are fewer groups.
        seed: Of the order in which groups are dealt.

    Returns:
        Shape (n,): numbers from 0; folds differ by at most one group.
    """
    names, index = np.unique(np.asarray(groups, dtype=np.int64), return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    dealt: npt.NDArray[np.int64] = (order % min(count, max(1, len(names)))).astype(np.int64)
    return dealt[index]

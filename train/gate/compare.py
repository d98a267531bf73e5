"""Champion and challenger side by side: their answers to the same pictures, and how long they take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from catdog.errors import DataError
from catdog.images.traits import measure
from catdog.model.model import Model
from catdog.model.preprocessing import preprocess
from train.data.examples import map_rows
from train.data.source import Source
from train.evaluation.slices import Mask, find_slices
from train.gate.evidence import Latency
from train.metrics import Floats, Labels

_BATCH = 32
_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Compared:
    """What both models say about the same n pictures."""

    labels: Labels
    """Shape (n,): the true ones."""
    champion: Floats
    """Shape (n, labels): probabilities."""
    challenger: Floats


@dataclass(slots=True)
class _Answers:
    """The answers of one model, asked a batch at a time."""

    model: Model
    waiting: list[np.typing.NDArray[np.float32]] = field(default_factory=list)
    given: list[tuple[float, ...]] = field(default_factory=list)

    def ask(self, image: Image.Image) -> None:
        self.waiting.append(preprocess(image, self.model.metadata.preprocessing))
        if len(self.waiting) == _BATCH:
            self._answer()

    def all(self) -> Floats:
        """Shape (n, labels)."""
        self._answer()
        return np.array(self.given, dtype=np.float64).reshape(-1, len(self.model.labels))

    def _answer(self) -> None:
        if self.waiting:
            self.given += [prediction.probabilities for prediction in self.model.predict_batch(self.waiting)]
            self.waiting.clear()


def compare_on_source(
    champion: Model, challenger: Model, source: Source, rows: Sequence[int], labels: Labels
) -> tuple[Compared, dict[str, Mask]]:
    """Answers to some rows of a data set, and its slices.

    Args:
        champion: What is live.
        challenger: With the same labels.
        source: Labels numbered as in the models.
        rows: All readable, at least one.
        labels: Of these rows.
    """
    old, new = _Answers(champion), _Answers(challenger)
    traits = []
    for image in map_rows(source, lambda _, image: image, rows):
        if isinstance(image, str):
            raise DataError(f"A picture became unreadable while it was used: {image}")
        old.ask(image)
        new.ask(image)
        traits.append(measure(image))
    return Compared(labels, old.all(), new.all()), find_slices(traits, labels, champion.labels)


def measure_latency(champion: Model, challenger: Model) -> Latency:
    """The fastest of many single answers of each, taken in turns: what else the machine does can only add to it."""
    best = [np.inf, np.inf]
    for _ in range(_ROUNDS):
        for index, model in enumerate((champion, challenger)):
            side = model.metadata.preprocessing.input_size
            pixels = np.zeros((3, side, side), dtype=np.float32)
            start = time.perf_counter()
            model.predict_batch([pixels])
            best[index] = min(best[index], time.perf_counter() - start)
    return Latency(champion_ms=1000 * float(best[0]), challenger_ms=1000 * float(best[1]))

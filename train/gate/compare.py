"""Champion and challenger side by side: their answers to the same pictures, and how long they take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from catdog.errors import DataError
from catdog.images.traits import Traits, measure
from catdog.model.model import Model
from catdog.model.preprocessing import preprocess
from train.data.examples import map_rows
from train.data.source import Row, Source
from train.evaluation.slices import Mask, find_slices
from train.gate.evidence import Latency
from train.metrics import Floats, Labels

_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Compared:
    """What both models say about the same n pictures."""

    labels: Labels
    """Shape (n,): the true ones."""
    champion: Floats
    """Shape (n, labels): probabilities."""
    challenger: Floats


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

    def look(_row: Row, image: Image.Image) -> tuple[Traits, Sequence[float], Sequence[float]]:
        # In the decoding threads: a network takes one core, and they have all.
        old, new = (
            model.predict_batch([preprocess(image, model.metadata.preprocessing)])[0]
            for model in (champion, challenger)
        )
        return measure(image), old.probabilities, new.probabilities

    found = list(map_rows(source, look, rows))
    if reasons := [each for each in found if isinstance(each, str)]:
        raise DataError(f"A picture became unreadable while it was used: {reasons[0]}")
    traits, old, new = zip(*(each for each in found if not isinstance(each, str)), strict=True)
    return Compared(labels, np.array(old), np.array(new)), find_slices(traits, labels, champion.labels)


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

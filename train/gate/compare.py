"""What the champion says about the test pictures, and how long it and a challenger take."""

import time
from collections.abc import Sequence

import numpy as np
from PIL import Image

from catdog.errors import DataError
from catdog.images.traits import Traits, measure
from catdog.model.model import Model
from train.data.examples import map_rows
from train.data.source import Row, Source
from train.evaluation.slices import Mask, find_slices
from train.gate.evidence import Latency
from train.metrics import Floats, Labels

_ROUNDS = 40


def ask_about(champion: Model, source: Source, rows: Sequence[int], labels: Labels) -> tuple[Floats, dict[str, Mask]]:
    """What the champion says about some rows of a data set, and the slices of these.

    Args:
        champion: What is live.
        source: Labels numbered as in the model.
        rows: All readable, at least one.
        labels: Of these rows.

    Returns:
        Probabilities of shape (n, labels), and for each slice its members.
    """

    def look(_row: Row, image: Image.Image) -> tuple[Traits, Sequence[float]]:
        # In the decoding threads: a network takes one core, and they have all.
        return measure(image), champion.predict(image).probabilities

    found = list(map_rows(source, look, rows))
    if reasons := [each for each in found if isinstance(each, str)]:
        raise DataError(f"A picture became unreadable while it was used: {reasons[0]}")
    traits, probabilities = zip(*(each for each in found if not isinstance(each, str)), strict=True)
    return np.array(probabilities), find_slices(traits, labels, champion.labels)


def measure_latency(champion: Model, challenger: Model) -> Latency:
    """The fastest of many single answers of each, taken in turns; processor time: nobody else adds to it."""
    best = [np.inf, np.inf]
    for _ in range(_ROUNDS):
        for index, model in enumerate((champion, challenger)):
            side = model.metadata.preprocessing.input_size
            pixels = np.zeros((3, side, side), dtype=np.float32)
            start = time.process_time()
            model.predict_batch([pixels])
            best[index] = min(best[index], time.process_time() - start)
    return Latency(champion_ms=1000 * float(best[0]), challenger_ms=1000 * float(best[1]))

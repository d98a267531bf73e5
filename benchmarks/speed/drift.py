"""Drift on real photos: how often unchanged ones raise it, what raises it and how far, and what watching costs.

    python -m benchmarks.speed.drift --model DIR --data DIR [--other NAME=DIR ...]

Windows are drawn from the test pictures of the data of the model, which neither it nor its reference has seen.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from tqdm import tqdm

from catdog.images.decode import decode_image
from catdog.model.drift import FALSE_ALARM_RATE, WINDOW, DriftMonitor, FeatureDistance, compare, measure
from catdog.model.metadata import SPLITS_FILE
from catdog.model.model import Model, Seen
from train.data.examples import read_examples
from train.data.source import open_outliers, open_source
from train.data.splits import read_manifest, restore

Change = Callable[[Image.Image], Image.Image]
CHANGES: dict[str, Change] = {
    "darkened by a tenth": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
    "darkened by a third": lambda image: ImageEnhance.Brightness(image).enhance(0.67),
    "slightly blurred": lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    "upside down": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "black and white": lambda image: image.convert("L").convert("RGB"),
    "half as large": lambda image: image.reduce(2),
}
WINDOWS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--other", action="append", default=[], metavar="DIR", help="pictures of another origin")
    parser.add_argument("--limit", type=int, default=600, help="so many pictures of each kind (%(default)s)")
    arguments = parser.parse_args()
    model = Model.load(arguments.model)
    source = open_source(arguments.data).with_labels(model.labels)
    rows = restore(read_examples(source), read_manifest(arguments.model / SPLITS_FILE)).rows("test")
    pictures = [decode_image(row.data) for batch in source.batches(rows) for row in batch if row.data]
    plain = [model.look(image) for image in tqdm(pictures, disable=None)]
    chosen = pictures[: arguments.limit]
    result = {"false alarms": false_alarms(model, plain), "cost": cost(model, chosen[0])}
    for name, change in CHANGES.items():
        result[name] = scores(model, [model.look(change(image)) for image in chosen])
    for name in arguments.other:
        others = open_outliers(name)
        some = range(0, len(others), max(1, len(others) // arguments.limit))
        found = [decode_image(row.data) for batch in others.batches(some) for row in batch if row.data]
        result[name] = scores(model, [model.look(image) for image in found])
    json.dump(result, sys.stdout, indent=2)
    print()


def columns(model: Model, seen: list[Seen]) -> dict[str, np.ndarray]:
    reference = model.metadata.drift_reference
    assert reference is not None, "the model folder has no drift reference: python -m train drift makes it"
    found = [measure(each, model.metadata.preprocessing) for each in seen]
    table = {name: np.array([each[name] for each in found]) for name in found[0]}
    if reference.projection:
        distance = FeatureDistance(reference.projection)
        table["features"] = np.array([distance(each.features) for each in seen if each.features is not None])
    return table


def false_alarms(model: Model, seen: list[Seen]) -> dict[str, object]:
    """Windows drawn from the test pictures with replacement, and all of them at once."""
    reference = model.metadata.drift_reference
    assert reference is not None
    table, generator = columns(model, seen), np.random.default_rng(0)
    alarms = 0
    for _ in range(WINDOWS):
        drawn = generator.integers(0, len(seen), WINDOW)
        window = {name: values[drawn] for name, values in table.items()}
        alarms += any(each.is_drift for each in compare(reference, window))
    return {"stated": FALSE_ALARM_RATE, "windows": WINDOWS, "alarms": alarms, "at once": scores(model, seen)}


def scores(model: Model, seen: list[Seen]) -> dict[str, str]:
    reference = model.metadata.drift_reference
    assert reference is not None
    return {
        each.name: f"{each.score:.3f} {'>' if each.is_drift else '<='} {each.threshold:.3f}"
        for each in compare(reference, columns(model, seen))
    }


def cost(model: Model, image: Image.Image) -> dict[str, float]:
    """Medians of CPU time in microseconds: an answer without and with features, in turns; watching it; the scores."""
    monitor = DriftMonitor(model.metadata, model.revision)
    seen = model.look(image)
    generator = np.random.default_rng(0)
    reference = model.metadata.drift_reference
    assert reference is not None
    for _ in range(WINDOW):
        monitor.add({name: generator.normal() for name in reference.properties})
    calls: dict[str, Callable[[], object]] = {
        "predict": lambda: model.predict(image),
        "look": lambda: model.look(image),
        "observe": lambda: monitor.observe(seen),
        "scores": monitor.scores,
    }
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(300):
        for name, call in calls.items():
            started = time.process_time()
            call()
            taken[name].append(1e6 * (time.process_time() - started))
    return {name: round(float(np.median(each)), 1) for name, each in taken.items()}


if __name__ == "__main__":
    main()

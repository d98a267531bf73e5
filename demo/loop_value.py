"""`python -m demo.loop_value`: what feedback earns, by how much of it there is and how much of it is wrong.

A model learns from photos by day alone: a linear head on an ImageNet network, which errs often enough for 400 test
pictures to tell two models apart. Visitors show it photos at night and answer, some of them wrongly; the
maintainer accepts everything without a look. After so many corrections the real retraining makes a challenger, and the
real gate judges it. Both are then measured on photos that nobody sent, at night and by day. Every point is kept when it
is done, so that an interrupted run can be gone on with.
"""

import argparse
import json
import logging
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from catdog.cli import run
from catdog.errors import GateRefusedError
from catdog.images.decode import decode_image
from catdog.model.model import Model, Prediction
from catdog.model.preprocessing import preprocess
from catdog.settings import load_settings
from demo.pictures import Counts, Material, Photo, real_photos, write_folder
from demo.processes import ROOT
from feedback.decision import ReviewedRow, accept
from feedback.hub.parquet import export
from feedback.row import Source, new_row
from train.fit import FitOptions, fit
from train.loop.retrain import RetrainOptions, retrain

SHARED = ROOT.parent / "shared"
SIDE = 80
COUNTS = Counts(data=2000, stream=700, fresh=500, ordinary=750)
QUICK = Counts(data=300, stream=200, fresh=60, ordinary=60)
CORRECTIONS = (60, 160)
WRONG = (0.0, 0.05, 0.1, 0.2)
RANDOM = 1.0
"""Stands for labels drawn at random, whatever the picture shows."""
CONFIRMED = 3
"""Of those who agree with the answer, every third says so."""
BATCH = 64

Pixels = Sequence[npt.NDArray[np.float32]]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Point:
    """One retraining, or the champion."""

    wrong: float
    """The share of answers that are wrong; 1 stands for random ones."""
    corrections: int
    """How many of the champion's wrong answers were told to be wrong, had nobody erred."""
    answers: int
    """With the confirmations."""
    night: float
    """Accuracy at night."""
    day: float
    accepted: bool | None
    """By the gate; None of the champion."""
    reasons: tuple[str, ...] = ()
    """Why it was refused."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Photos that nobody sent, preprocessed once: all models here see them alike."""

    night: Pixels
    day: Pixels
    night_labels: Sequence[str]
    day_labels: Sequence[str]

    def accuracies(self, model: Model) -> tuple[float, float]:
        """At night and by day."""
        return _accuracy(model, self.night, self.night_labels), _accuracy(model, self.day, self.day_labels)


def main(argv: Sequence[str]) -> int:
    """Measure all points that are not there yet, and draw them."""
    parser = argparse.ArgumentParser(prog="python -m demo.loop_value", description=__doc__)
    add = parser.add_argument
    add("--photos", default=str(SHARED / "data" / "cats_vs_dogs"), help="a folder or a Hub data set (%(default)s)")
    add("--init", default=str(SHARED / "weights" / "tf_mobilenetv3_small_100.in1k.safetensors"),
        help="starting weights (%(default)s)")  # fmt: skip
    add("--work", type=Path, required=True, metavar="DIR", help="where everything is kept")
    add("--plot", type=Path, metavar="PNG", help="draw the points")
    add("--quick", action="store_true", help="few pictures: to try the program, not to measure")
    arguments = parser.parse_args(argv)
    counts = QUICK if arguments.quick else COUNTS
    champion, *challengers = _measure(arguments.photos, arguments.init, counts, arguments.work)
    points = [champion, *sorted(challengers, key=lambda point: (point.wrong, point.corrections))]
    print(as_table(points))
    if arguments.plot:
        plot(points, arguments.plot)
    return 0


def _measure(photos: str, init: str, counts: Counts, work: Path) -> Iterator[Point]:
    material = real_photos(photos, counts)
    champion = work / "champion"
    if not champion.exists():
        write_folder(work / "data", material.data)
        fit(FitOptions(data=str(work / "data"), init=init, out=champion, recipe="probe", img_size=SIDE))
    model = Model.load(champion)
    judge = _judge(model, material)
    told = _stream(model, material.stream)
    log.info("%d of %d photos of the stream are answered", len(told), len(material.stream))
    night, day = judge.accuracies(model)
    yield Point(0.0, 0, 0, night, day, None)
    for corrections in sorted(CORRECTIONS, reverse=True):  # what tells most comes first
        for wrong in (*WRONG, RANDOM):
            kept = work / f"{wrong}-{corrections}.json"
            if not kept.exists():
                found = _point(work, judge, first(told, corrections), wrong, corrections)
                kept.write_text(json.dumps(asdict(found)))
            yield Point(**json.loads(kept.read_text()))


def _judge(model: Model, material: Material) -> Judge:
    def pixels(photos: Sequence[Photo]) -> Pixels:
        return [preprocess(decode_image(photo.data), model.metadata.preprocessing) for photo in photos]

    return Judge(
        pixels(material.fresh),
        pixels(material.ordinary),
        [photo.label for photo in material.fresh],
        [photo.label for photo in material.ordinary],
    )


def _accuracy(model: Model, pixels: Pixels, labels: Sequence[str]) -> float:
    said = [
        prediction.label
        for start in range(0, len(pixels), BATCH)
        for prediction in model.predict_batch(pixels[start : start + BATCH])
    ]
    return sum(a == b for a, b in zip(said, labels, strict=True)) / len(labels)


Told = tuple[Photo, Prediction]


def _stream(model: Model, photos: Sequence[Photo]) -> list[Told]:
    """The photos that somebody says something about: all that the model errs on, and some of the others."""
    told, agreed = [], 0
    for photo in photos:
        prediction = model.predict(decode_image(photo.data))
        agreed += prediction.label == photo.label
        if prediction.label != photo.label or agreed % CONFIRMED == 0:
            told.append((photo, prediction))
    return told


def first(told: Sequence[Told], corrections: int) -> list[Told]:
    """The answers up to a number of corrections; all of them if there are fewer."""
    found, count = [], 0
    for photo, prediction in told:
        found.append((photo, prediction))
        count += prediction.label != photo.label
        if count == corrections:
            break
    return found


def _point(work: Path, judge: Judge, told: Sequence[Told], wrong: float, corrections: int) -> Point:
    """Retrain, and measure the challenger whatever the gate says."""
    run_folder, feedback = work / f"challenger-{wrong}-{corrections}", work / f"feedback-{wrong}-{corrections}"
    rows = [_reviewed(photo, prediction, wrong) for photo, prediction in told]
    export(rows, feedback)
    options = RetrainOptions(
        data=str(work / "data"), feedback=str(feedback), base=str(work / "champion"), out=run_folder
    )  # fmt: skip
    point = Point(wrong, corrections, len(rows), 0.0, 0.0, accepted=False)
    try:
        report = retrain(options, load_settings()).report
    except GateRefusedError as error:
        return replace(point, night=float("nan"), day=float("nan"), reasons=(str(error),))
    night, day = judge.accuracies(Model.load(run_folder))
    return replace(point, night=night, day=day, accepted=report.accepted, reasons=tuple(report.reasons))


def _reviewed(photo: Photo, prediction: Prediction, wrong: float) -> ReviewedRow:
    """What somebody says, accepted. Who errs does so at every number of corrections, and at every larger share."""
    row = new_row(
        prediction=prediction,
        picture=decode_image(photo.data),
        corrected_label=said(photo, prediction.labels, wrong),
        request_id=photo.name,
        source=Source.UPLOAD,
        client=photo.name,
    )
    return ReviewedRow(row, accept(row, by="maintainer"))


def said(photo: Photo, labels: Sequence[str], wrong: float) -> str:
    chance = random.Random(photo.name)
    if wrong == RANDOM:
        return chance.choice(labels)
    errs = chance.random() < wrong
    return chance.choice([label for label in labels if label != photo.label]) if errs else photo.label


def as_table(points: Sequence[Point]) -> str:
    """Markdown; differences are in points, challenger minus champion."""
    champion = points[0]
    lines = [
        "| wrong answers | corrections | answers | at night | by day | gate |",
        "|---|---|---|---|---|---|",
        f"| no feedback | 0 | 0 | {champion.night:.1%} | {champion.day:.1%} | |",
    ]
    for each in points[1:]:
        shares = [
            f"{now:.1%} ({100 * (now - before):+.2f})"
            for now, before in ((each.night, champion.night), (each.day, champion.day))
        ]
        cells = (_name(each.wrong), str(each.corrections), str(each.answers), *shares, _verdict(each))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _verdict(point: Point) -> str:
    return "accepted" if point.accepted else f"refused: {'; '.join(point.reasons)}"


def _name(wrong: float) -> str:
    return "random labels" if wrong == RANDOM else f"{wrong:.0%}"


def plot(points: Sequence[Point], path: Path) -> None:
    """Accuracy at night and by day against corrections; a hollow marker is a challenger that the gate refused."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    panels: tuple[tuple[str, Callable[[Point], float]], ...] = (
        ("photos at night, the kind that was corrected", lambda point: point.night),
        ("photos by day", lambda point: point.day),
    )
    for axes, (title, value) in zip(figure.subplots(1, 2), panels, strict=True):
        axes.axhline(100 * value(points[0]), color="black", linestyle="dotted", label="no feedback")
        for colour, wrong in zip(_COLOURS, (*WRONG, RANDOM), strict=True):
            chosen = [point for point in points[1:] if point.wrong == wrong]
            x, y = [each.corrections for each in chosen], [100 * value(each) for each in chosen]
            label = "random labels" if wrong == RANDOM else f"{wrong:.0%} wrong answers"
            axes.plot([0, *x], [100 * value(points[0]), *y], color=colour, label=label)
            for each, at, height in zip(chosen, x, y, strict=True):
                axes.plot(at, height, "o", color=colour, markerfacecolor=colour if each.accepted else "white")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("corrections")
        axes.set_ylabel("accuracy, %")
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})


_COLOURS = ("#0072B2", "#009E73", "#E69F00", "#D55E00", "#767676")
"""Okabe and Ito's: colour-blind people tell them apart."""


if __name__ == "__main__":
    sys.exit(run(main))

"""`python -m demo.loop_value`: what feedback earns on a good model, by kind of picture, number of answers and mistakes.

Visitors show the embedded model a kind of picture that it is weak at, such as photos at night, and answer as people do:
seven in ten answers correct a mistake, the others confirm, and some press the wrong label. A maintainer accepts all of
it without a look. The real retraining makes a challenger, and the real gate judges it. The challenger is then measured
on pictures of that kind that nobody sent, and on the model's own validation and test pictures. Every point is kept when
it is done, so that an interrupted run can be gone on with.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from catdog.cli import run
from catdog.errors import DataError, GateRefusedError
from catdog.images.decode import decode_image
from catdog.images.phash import fingerprint, pack
from catdog.model.metadata import SPLITS_FILE, load_metadata
from catdog.model.model import Model, Prediction
from catdog.model.preprocessing import preprocess
from catdog.settings import EMBEDDED_MODEL, load_settings
from demo.kinds import KINDS, NAMES, make
from demo.processes import ROOT
from feedback.decision import ReviewedRow, accept
from feedback.hub.parquet import export
from feedback.row import Source, new_row
from train.data.source import open_source
from train.data.splits import Manifest, read_manifest, seen_splits
from train.gate.history import HISTORY_FILE
from train.loop.retrain import RetrainOptions, retrain

SHARED = ROOT.parent / "shared" / "data"
CORRECTED = 0.7
"""Share of answers that correct a mistake, where there are as many mistakes."""
RANDOM, POISON = "random", "poison"
"""Ways of answering: labels drawn at random; one answer in ten is the first label, whatever the picture shows."""
_POISONED = 0.1
_MOST_SHOWN = 6000
_BATCH = 64
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture, what it shows, and what the champion says."""

    name: str
    image: Image.Image
    label: str
    said: Prediction


@dataclass(frozen=True, slots=True)
class Point:
    """One retraining."""

    kind: str
    way: str
    """Share of answers that are wrong, or `random` or `poison`."""
    answers: int
    corrections: int
    fresh: int
    """Pictures of the kind that nobody sent."""
    wrong_before: int
    wrong_after: int
    turned_away_before: int
    """So many the page calls "Neither"."""
    turned_away_after: int
    loss_before: float
    """Log loss on them."""
    loss_after: float
    elsewhere: int
    """The model's own validation and test pictures."""
    lost_elsewhere: int
    accepted: bool | None
    """By the gate; None if it refused before any training."""
    reasons: tuple[str, ...]
    seconds: float
    data: str = ""
    """Where the pictures are from."""

    @property
    def gone(self) -> float:
        """Share of the kind's mistakes that are gone."""
        return 1 - self.wrong_after / max(1, self.wrong_before)


def main(argv: Sequence[str]) -> int:
    """Measure all points that are not there yet, print and draw them."""
    parser = argparse.ArgumentParser(prog="python -m demo.loop_value", description=__doc__)
    add = parser.add_argument
    add("--model", type=Path, default=EMBEDDED_MODEL, help="the champion's folder (the embedded model)")
    add("--data", default=str(SHARED / "cats_vs_dogs"), help="what it was trained with: a folder or a Hub data set")
    add("--other", default=str(SHARED / "wild"), help="pictures from elsewhere, for the kind `asis`")
    add("--held-back", metavar="DATA", help="those that nobody sends (every second of --other)")
    add("--work", type=Path, required=True, metavar="DIR", help="where everything is kept")
    add("--kinds", default="night,turned,drawing,compressed,fence,snow,moving,rain,asis", help="%(default)s")
    add("--answers", default="100", help="25,50,100,200 (%(default)s)")
    add("--ways", default="0.05", help="0,0.05,0.2,random,poison (%(default)s)")
    add("--fresh", type=int, default=400, help="pictures of a kind to measure by (%(default)s)")
    add("--plot", type=Path, metavar="PNG", help="draw the points")
    arguments = parser.parse_args(argv)
    if arguments.held_back and "asis" not in arguments.kinds.split(","):
        parser.error("--held-back is for the kind `asis`")
    points = list(_measure(arguments))
    print(as_table(points))
    if arguments.plot:
        plot(points, arguments.plot)
    return 0


def _measure(arguments: argparse.Namespace) -> Iterator[Point]:
    model, manifest = Model.load(arguments.model), read_manifest(arguments.model / SPLITS_FILE)
    for kind in arguments.kinds.split(","):
        stream: list[Shown] = []
        fresh: list[Shown] = []
        data = arguments.other if kind == "asis" else arguments.data
        for count in map(int, arguments.answers.split(",")):
            for way in arguments.ways.split(","):
                kept = arguments.work / f"{kind}-{count}-{way}.json"
                if not kept.exists():
                    if not fresh and kind == "asis" and arguments.held_back:
                        stream, fresh = (_as_they_are(model, each) for each in (arguments.other, arguments.held_back))
                    elif not fresh:
                        wanted = max(map(int, arguments.answers.split(",")))
                        stream, fresh = _pictures(model, manifest, kind, data, wanted, arguments.fresh)
                    # A story of its own, in which nobody has looked before.
                    (arguments.work / HISTORY_FILE).unlink(missing_ok=True)
                    point = _point(arguments, model, kind, answered(stream, count), fresh, way)
                    kept.write_text(json.dumps(asdict(point)))
                point = Point(**json.loads(kept.read_text()))
                if point.data != data:
                    raise DataError(f"{kept} is of pictures from {point.data or 'elsewhere'}. Choose another --work.")
                yield point


def _pictures(  # noqa: PLR0913, PLR0917 - each is one thing
    model: Model, manifest: Manifest, kind: str, data: str, answers: int, fresh: int
) -> tuple[list[Shown], list[Shown]]:
    """What visitors show, mistakes and right answers enough; and pictures that nobody sends, new to the model."""
    source, stream, kept = open_source(data), list[Shown](), list[Shown]()
    wrong = right = 0
    for batch in source.batches(np.random.default_rng(0).permutation(len(source))[:_MOST_SHOWN].tolist()):
        images = [(row, decode_image(row.data)) for row in batch if row.data is not None and row.label is not None]
        hashes = [fingerprint(image) for _, image in images]
        splits = seen_splits(
            pack([each.phash for each in hashes]), manifest, pack([each.certain for each in hashes])
        ).tolist()
        for (row, image), split in zip(images, splits, strict=True):
            unseen = split in {"test", "validation"} or (not split and len(kept) <= len(stream))
            enough = wrong >= CORRECTED * answers and right >= (1 - CORRECTED) * answers
            if (unseen and len(kept) >= fresh) or (not unseen and enough):
                continue
            picture = make(kind, image, str(row.index))
            label = source.labels[row.label or 0]
            shown = Shown(f"{kind}-{row.index}", picture, label, model.predict(picture))
            (kept if unseen else stream).append(shown)
            if not unseen:
                wrong += shown.said.label != label
                right += shown.said.label == label
        if enough and len(kept) >= fresh:
            break
    log.info("%s: wrong about %d of %d that people show", kind, wrong, len(stream))
    return stream, kept


def _as_they_are(model: Model, data: str) -> list[Shown]:
    """All pictures of a data set, in any order."""
    source, shown = open_source(data).with_labels(model.labels), list[Shown]()
    for batch in source.batches(np.random.default_rng(0).permutation(len(source)).tolist()):
        for row in batch:
            if row.data is not None and row.label is not None:
                image = decode_image(row.data)
                shown.append(Shown(f"asis-{row.index}", image, model.labels[row.label], model.predict(image)))
    return shown


def answered(stream: Sequence[Shown], count: int) -> list[Shown]:
    """Who answers: seven in ten correct a mistake, if there are as many, and the others confirm."""
    wrong = [each for each in stream if each.said.label != each.label][: round(CORRECTED * count)]
    right = [each for each in stream if each.said.label == each.label][: count - len(wrong)]
    if not right and not wrong:
        raise DataError("The data have no pictures to show. Name others with --data.")
    return [*wrong, *right]


def said(shown: Sequence[Shown], labels: Sequence[str], way: str) -> list[str]:
    """What people answer, in one way or another."""
    generator = np.random.default_rng(len(shown))
    draws, others = generator.random(len(shown)), generator.integers(0, len(labels), len(shown))
    if way == RANDOM:
        return [labels[other] for other in others]
    if way == POISON:
        return [labels[0] if draw < _POISONED else each.label for each, draw in zip(shown, draws, strict=True)]
    errs = [draw < float(way) for draw in draws]
    return [
        next(label for label in (*labels[other:], *labels) if label != each.label) if err else each.label
        for each, err, other in zip(shown, errs, others, strict=True)
    ]


def _point(  # noqa: PLR0913, PLR0917 - each is one thing
    arguments: argparse.Namespace, model: Model, kind: str, told: Sequence[Shown], fresh: Sequence[Shown], way: str
) -> Point:
    """Retrain, and measure the challenger whatever the gate says."""
    name = f"{kind}-{len(told)}-{way}"
    out, feedback = arguments.work / f"challenger-{name}", arguments.work / f"feedback-{name}"
    export([_reviewed(*each) for each in zip(told, said(told, model.labels, way), strict=True)], feedback)
    options = RetrainOptions(arguments.data, str(feedback), str(arguments.model), out)
    started, accepted, reasons = time.monotonic(), None, tuple[str, ...]()
    try:
        report = retrain(options, load_settings()).report
        accepted, reasons = report.accepted, tuple(report.reasons)
    except GateRefusedError as error:
        reasons = (str(error),)
    after = Model.load(out) if accepted is not None else model
    wrong_before, away_before, loss_before = _judged(model, fresh)
    wrong_after, away_after, loss_after = _judged(after, fresh)
    own, new = (
        load_metadata(each).metrics for each in (arguments.model, out if accepted is not None else arguments.model)
    )
    return Point(
        kind=kind, way=way, answers=len(told), corrections=sum(each.said.label != each.label for each in told),
        fresh=len(fresh), wrong_before=wrong_before, wrong_after=wrong_after, turned_away_before=away_before,
        turned_away_after=away_after, loss_before=loss_before,
        loss_after=loss_after, elsewhere=_all(own)[0], lost_elsewhere=_all(own)[1] - _all(new)[1],
        accepted=accepted, reasons=reasons, seconds=time.monotonic() - started,
        data=arguments.other if kind == "asis" else arguments.data,
    )  # fmt: skip


def _all(metrics: dict[str, dict[str, float]]) -> tuple[int, int]:
    """How many validation and test pictures there are, and how many are right."""
    both = [metrics[split] for split in ("validation", "test")]
    return int(sum(each["n"] for each in both)), round(sum(each["n"] * each["accuracy"] for each in both))


def _judged(model: Model, fresh: Sequence[Shown]) -> tuple[int, int, float]:
    """How many a model has wrong, how many it calls "neither", and its log loss."""
    pixels = [preprocess(each.image, model.metadata.preprocessing) for each in fresh]
    found = [
        prediction
        for start in range(0, len(pixels), _BATCH)
        for prediction in model.predict_batch(pixels[start : start + _BATCH])
    ]
    given = [each.probabilities[each.labels.index(shown.label)] for each, shown in zip(found, fresh, strict=True)]
    wrong = sum(each.label != shown.label for each, shown in zip(found, fresh, strict=True))
    turned_away = sum(each.verdict.is_neither for each in found)
    return wrong, turned_away, float(-np.log(np.maximum(given, 1e-12)).mean())


def _reviewed(shown: Shown, label: str) -> ReviewedRow:
    row = new_row(
        prediction=shown.said,
        picture=shown.image,
        corrected_label=label,
        request_id=shown.name,
        source=Source.UPLOAD,
        client=shown.name,
    )
    return ReviewedRow(row, accept(row, by="maintainer"))


def as_table(points: Sequence[Point]) -> str:
    """Markdown."""
    lines = [
        '| kind | answers (corrected) | wrong clicks | its mistakes | gone | "neither" | log loss | elsewhere | gate |',
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in points:
        cells = (
            each.kind,
            f"{each.answers} ({each.corrections})",
            way_in_words(each.way),
            f"{each.wrong_before} -> {each.wrong_after} of {each.fresh:,}",
            f"{each.gone:.0%}",
            f"{each.turned_away_before} -> {each.turned_away_after}",
            f"{each.loss_before:.3f} -> {each.loss_after:.3f}",
            f"{-each.lost_elsewhere:+d} of {each.elsewhere:,}",
            "accepted" if each.accepted else f"refused: {'; '.join(each.reasons)}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def way_in_words(way: str) -> str:
    """For the table and the plot."""
    return {RANDOM: "random labels", POISON: "one in ten says the first label"}.get(way) or f"{float(way):.0%}"


def plot(points: Sequence[Point], path: Path) -> None:
    """Share of a kind's mistakes that are gone; a hollow marker is a challenger that the gate refused."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(8.0, 4.0), layout="constrained")
    axes = figure.subplots()
    kinds = list(dict.fromkeys(each.kind for each in points))
    value: Callable[[Point], float] = lambda each: 100 * each.gone  # noqa: E731
    for colour, kind in zip(_COLOURS, kinds, strict=False):
        chosen = sorted((each for each in points if each.kind == kind), key=lambda each: each.answers)
        name = f"{NAMES[kind]} ({chosen[0].data})" if kind == "asis" else NAMES.get(kind, kind)
        axes.plot([], [], "o-", color=colour, label=name)
        for way in dict.fromkeys(each.way for each in chosen):
            line = [each for each in chosen if each.way == way]
            axes.plot([each.answers for each in line], list(map(value, line)), color=colour, alpha=0.6)
            for each in line:
                axes.plot(each.answers, value(each), "o", color=colour, mfc=colour if each.accepted else "white")
    axes.plot([], [], "o", color="black", mfc="white", label="refused by the gate")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xlabel="answers", ylabel="mistakes gone, %", xticks=sorted({each.answers for each in points}))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})


_COLOURS = ("#0072B2", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#767676", "#56B4E9", "#000000", "#882255")
"""Okabe and Ito's, and one of Tol's: colour-blind people tell them apart."""
assert set(KINDS) == set(NAMES)

if __name__ == "__main__":
    sys.exit(run(main))

"""What the loop earns: accuracy on a kind of picture that the champion lacks, and elsewhere, after k corrections.

    python benchmarks/loop_value.py --photos DATA --init WEIGHTS --out DIR

A champion is fine-tuned on photos; people then show it photos "at night", and correct it, some of them wrongly. Beside
that stand random labels, and ordinary photos, which tell what more training alone earns. `DIR` gets a table as
Markdown, the same as JSON, a plot, and every model; a run that was interrupted goes on.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs as a file, too

from benchmarks.loop.pictures import Counts, Material, Photo, real_photos, write_folder
from catdog.cli import run
from catdog.errors import DataError, GateRefusedError
from catdog.images import decode_image
from catdog.model import Model
from catdog.settings import load_settings
from feedback.decisions import ReviewedRow, accept
from feedback.parquet import export
from feedback.row import FeedbackRow, Source, new_row

COUNTS = Counts(data=2000, stream=400, fresh=300, ordinary=500)
CORRECTIONS = (60, 120, 240)
WRONG_CLICKS = {"0 % wrong clicks": 0.0, "5 %": 0.05, "10 %": 0.1, "20 %": 0.2, "random labels": 0.5}
ORDINARY = "ordinary photos instead"
_CONFIRMED = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Point:
    """One model. Accuracies are shares, in [0, 1]."""

    series: str
    k: int
    """How many rows it was retrained with; 0 is the champion."""
    new_kind: float
    """Accuracy on photos at night that nobody sent."""
    elsewhere: float
    """Accuracy on ordinary photos that no model was made with."""
    gate: str
    """`accepted`, or the rules that refused it."""


def main(argv: Sequence[str]) -> int:
    """Measure every point and write table and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True, help="a folder or a Hub data set with two labels")
    parser.add_argument("--init", required=True, help="starting weights, as `python -m train fit --init` takes them")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    material = real_photos(arguments.photos, COUNTS, seed=arguments.seed)
    champion = _champion(arguments, material)
    points = [_measure("champion", 0, champion, material, "")]
    for series in (*WRONG_CLICKS, ORDINARY):
        for k in CORRECTIONS:
            points.append(_point(arguments, material, champion, series, k))
            _write(arguments.out, points)
    print((arguments.out / "loop_value.md").read_text())
    return 0


def _champion(arguments: argparse.Namespace, material: Material) -> Path:
    """Fine-tuned on photos, none of them at night."""
    from train.finetune import Schedule  # noqa: PLC0415 - torch is slow to import
    from train.fit import FitOptions, fit  # noqa: PLC0415

    out: Path = arguments.out / "champion"
    if out.exists():
        return out
    write_folder(arguments.out / "data", material.data)
    schedule = Schedule(epochs=6, train_size=80, seed=arguments.seed)
    return fit(
        FitOptions(data=str(arguments.out / "data"), init=arguments.init, out=out, img_size=96, schedule=schedule)
    )


def _point(arguments: argparse.Namespace, material: Material, champion: Path, series: str, k: int) -> Point:
    from train.gate import GATE_FILE, read_report  # noqa: PLC0415
    from train.retrain import RetrainOptions, retrain  # noqa: PLC0415

    folder = arguments.out / f"{series.replace(' ', '_').replace('%', 'percent')}-{k}"
    if not folder.exists():
        rows = [*_rows(champion, material, series, k, seed=arguments.seed)]
        export([ReviewedRow(row, accept(row, by="maintainer")) for row in rows], arguments.out / "feedback")
        options = RetrainOptions(str(arguments.out / "data"), str(arguments.out / "feedback"), str(champion), folder)
        try:
            retrain(options, load_settings())
        except GateRefusedError as error:
            return Point(series, k, float("nan"), float("nan"), str(error))
    report = read_report(folder / GATE_FILE)
    failed = ", ".join(check.name for check in report.checks if not check.passed)
    return _measure(series, k, folder, material, f"refused: {failed}" if failed else "accepted")


def _rows(champion: Path, material: Material, series: str, k: int, *, seed: int) -> Iterator[FeedbackRow]:
    """What k people say: each wrong answer is corrected, some right ones are confirmed, some of all that wrongly."""
    model, rng = Model.load(champion), np.random.default_rng([seed, k])
    photos, every = (_parts(material)[0], 1) if series == ORDINARY else (material.stream, _CONFIRMED)
    kept = right = 0
    for photo in photos:
        image = decode_image(photo.data)
        prediction = model.predict(image)
        is_right = prediction.label == photo.label
        right += is_right
        if is_right and right % every:
            continue
        others = [label for label in prediction.labels if label != photo.label]
        said = str(rng.choice(others)) if rng.random() < WRONG_CLICKS.get(series, 0.0) else photo.label
        yield new_row(
            prediction=prediction, picture=image, corrected_label=said, request_id=photo.name,
            source=Source.API, client=photo.name,
        )  # fmt: skip
        kept += 1
        if kept == k:
            return
    raise DataError(f"{series}: {len(photos)} photos gave {kept} rows only, {k} are needed.")


def _parts(material: Material) -> tuple[Sequence[Photo], Sequence[Photo]]:
    """Ordinary photos to learn from, and others to judge by."""
    half = len(material.ordinary) // 2
    return material.ordinary[:half], material.ordinary[half:]


def _measure(series: str, k: int, folder: Path, material: Material, gate: str) -> Point:
    model = Model.load(folder)
    return Point(series, k, _accuracy(model, material.fresh), _accuracy(model, _parts(material)[1]), gate)


def _accuracy(model: Model, photos: Sequence[Photo]) -> float:
    right = [photo for photo in photos if model.predict(decode_image(photo.data)).label == photo.label]
    return len(right) / len(photos)


def _write(out: Path, points: Sequence[Point]) -> None:
    (out / "loop_value.json").write_text(json.dumps([asdict(point) for point in points], indent=2) + "\n")
    lines = ["| people | k | at night | elsewhere | gate |", "|---|---|---|---|---|"]
    lines += [f"| {p.series} | {p.k} | {p.new_kind:.1%} | {p.elsewhere:.1%} | {p.gate} |" for p in points]
    (out / "loop_value.md").write_text("\n".join(lines) + "\n")
    _plot(out / "loop_value.png", points)


def _plot(path: Path, points: Sequence[Point]) -> None:
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharex=True)
    champion = points[0]
    for axis, name in zip(axes, ("new_kind", "elsewhere"), strict=True):
        for series in dict.fromkeys(point.series for point in points[1:]):
            mine = [champion, *(point for point in points if point.series == series)]
            axis.plot([p.k for p in mine], [100 * getattr(p, name) for p in mine], marker="o", label=series)
        axis.axhline(100 * getattr(champion, name), color="grey", linestyle=":", label="no feedback")
        axis.set(xlabel="corrections and confirmations", ylabel="accuracy in %")
        axis.set_title("photos at night" if name == "new_kind" else "ordinary photos")
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(run(main))

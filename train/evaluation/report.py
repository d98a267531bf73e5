"""`python -m train evaluate --report`: everything about one model on one data set, for looking at.

`report.json` has all figures, the PNG files plot them, and `index.html` shows both with the worst mistakes. The page
holds pictures of the data, so it stays out of the repository and of the Hub; figures and plots may go into the card.
"""

import html
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from catdog.errors import DataError, SettingsError
from catdog.images.traits import measure
from catdog.model.model import Prediction
from catdog.settings import PROJECT_ROOT
from train.data.examples import map_rows
from train.evaluation import plots
from train.evaluation.curves import Coverage, reliability, risk_coverage, roc
from train.evaluation.distortions import DISTORTIONS
from train.evaluation.evaluate import Answered, predict_rows
from train.evaluation.gallery import Exhibit, gallery, page, write_page
from train.evaluation.slices import find_slices
from train.metrics import Labels, log_loss, wilson

CARD_PLOTS = ("reliability.png", "risk_coverage.png", "slices.png")
"""Those that the card shows."""
_MISTAKES = 60
_POINTS = 200
_log = logging.getLogger(__name__)


def write_report(answered: Answered, folder: Path) -> dict[str, Any]:
    """Write `report.json`, plots and `index.html` into a folder; returns what is in `report.json`.

    Raises:
        SettingsError: the folder is in the repository, or cannot be written.
    """
    _check_folder(folder)
    probabilities, labels, names = answered.probabilities, answered.labels, answered.model.labels
    coverage = risk_coverage(probabilities, labels)
    report: dict[str, Any] = {
        "metrics": answered.as_dict(),
        "reliability": [asdict(each) for each in reliability(probabilities, labels)],
        "roc": [asdict(each) for each in roc(probabilities, labels, names)],
        "risk_coverage": asdict(_thinned(coverage)),
        "slices": {**_natural_slices(answered), **_distorted_slices(answered)},
        "neither": answered.model.metadata.metrics.get("neither"),
    }
    plots.plot_confusion(folder / "confusion.png", report["metrics"]["confusion_matrix"], names)
    plots.plot_roc(folder / "roc.png", roc(probabilities, labels, names))
    plots.plot_reliability(folder / "reliability.png", reliability(probabilities, labels))
    plots.plot_risk_coverage(folder / "risk_coverage.png", coverage)
    plots.plot_slices(
        folder / "slices.png",
        {name: (each["accuracy"], each["interval"]) for name, each in report["slices"].items()},
        report["metrics"]["accuracy"],
    )
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    write_page(folder / "index.html", _page(report, answered))
    _log.info("%s: see index.html", folder)
    return report


def _check_folder(folder: Path) -> None:
    place = folder.resolve()
    if place.is_relative_to(PROJECT_ROOT) and not place.is_relative_to(PROJECT_ROOT / "runs"):
        raise SettingsError(
            f"--report {folder} is in the repository, and the report shows pictures that must not get there. "
            "Choose a folder under runs/, or elsewhere."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"--report {folder} cannot be made: {error.strerror}.") from None


def _natural_slices(answered: Answered) -> dict[str, Any]:
    """Labels, and the tenths with the least of a trait."""
    traits = []
    for found in map_rows(answered.source, lambda _, image: measure(image), answered.rows):
        if isinstance(found, str):
            raise DataError(f"A picture became unreadable while it was used: {found}")
        traits.append(found)
    masks = find_slices(traits, answered.labels, answered.model.labels)
    chosen = {name: np.flatnonzero(mask) for name, mask in masks.items() if mask.any()}
    return {
        name: _score([answered.predictions[index] for index in members], answered.labels[members])
        for name, members in chosen.items()
    }


def _distorted_slices(answered: Answered) -> dict[str, Any]:
    """All pictures, made worse in one way after another."""
    slices = {}
    for name, change in DISTORTIONS.items():
        _log.info("asking again, pictures %s", name)
        predictions = predict_rows(answered.model, answered.source, answered.rows, change=change)
        slices[name] = _score(predictions, answered.labels)
    return slices


def _score(predictions: Sequence[Prediction], labels: Labels) -> dict[str, Any]:
    probabilities = np.array([prediction.probabilities for prediction in predictions])
    right = probabilities.argmax(axis=1) == labels
    return {
        "n": len(labels),
        "accuracy": float(right.mean()),
        "interval": wilson(int(right.sum()), len(labels)),
        "log_loss": log_loss(probabilities, labels),
        "answered": float(np.mean([each.verdict.is_label for each in predictions])),
    }


def _thinned(curve: Coverage) -> Coverage:
    """With fewer points."""
    kept = np.unique(np.linspace(0, len(curve.risk) - 1, _POINTS).round().astype(int)).tolist()
    return Coverage([curve.coverage[index] for index in kept], [curve.risk[index] for index in kept], curve.area)


def _page(report: Mapping[str, Any], answered: Answered) -> str:
    metrics = report["metrics"]
    title = f"{metrics['model_id']} ({metrics['model_revision']}) on {metrics['data']['name']}"
    images = "".join(
        f'<img src="{name}.png" alt="{name}">'
        for name in ("confusion", "roc", "reliability", "risk_coverage", "slices")
    )
    return page(
        title,
        f"<p>{metrics['n']} pictures of the split {metrics['data']['split']}; 95% intervals in brackets.</p>",
        _metrics_table(metrics),
        f'<div class="plots">{images}</div>',
        "<h2>Kinds of picture</h2>",
        _table(
            ("", "n", "accuracy", "log loss", "answered"), map(_slice_row, *zip(*report["slices"].items(), strict=True))
        ),
        _neither_table(report["neither"]),
        "<h2>Worst mistakes</h2>",
        gallery(answered.source, _worst(answered)),
    )


def _metrics_table(metrics: Mapping[str, Any]) -> str:
    columns = [metrics, *([metrics["clean"]] if "clean" in metrics else [])]
    rows = [("pictures", *(str(each["n"]) for each in columns))]
    rows += [
        (key, *(_with_interval(each[key], each["intervals"].get(key)) for each in columns))
        for key in ("accuracy", "auc", "log_loss", "ece")
    ]
    verdicts = [each["verdicts"] for each in columns]
    rows.append(("answered", *(f"{each['answered']:.4f}" for each in verdicts)))
    rows.append(
        ("accuracy when answered", *(_with_interval(each["accuracy_when_answered"], None) for each in verdicts))
    )
    return _table(("", "labels as they are", "labels corrected")[: 1 + len(columns)], rows)


def _with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" + ("" if interval is None else f" ({interval[0]:.4f} to {interval[1]:.4f})")


def _slice_row(name: str, each: Mapping[str, Any]) -> tuple[str, ...]:
    accuracy = _with_interval(each["accuracy"], each["interval"])
    return (name, str(each["n"]), accuracy, f"{each['log_loss']:.4f}", f"{each['answered']:.4f}")


def _neither_table(rates: Mapping[str, Any] | None) -> str:
    """What the rule for "neither" did when it was made, by group of kinds."""
    groups = {name: each for name, each in (rates or {}).items() if isinstance(each, dict) and "turned_away" in each}
    if not groups:
        return ""
    rows = [
        (
            name,
            str(each["n"]),
            _with_interval(each["turned_away"], each["intervals"]["turned_away"]),
            _with_interval(each["auroc"], each["intervals"]["auroc"]),
        )
        for name, each in groups.items()
    ]
    return "<h2>Pictures of something else</h2>" + _table(("kinds", "n", "turned away", "AUROC"), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _worst(answered: Answered) -> list[Exhibit]:
    """Wrong answers, the most confident first."""
    probabilities, names = answered.probabilities, answered.model.labels
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != answered.labels)
    order = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:_MISTAKES]
    return [
        Exhibit(
            answered.rows[index],
            f"label {names[answered.labels[index]]}, answer {answered.predictions[index].label} "
            f"({answered.predictions[index].confidence:.1%}), row {answered.rows[index]}",
        )
        for index in order.tolist()
    ]

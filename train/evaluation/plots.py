"""Plots of an evaluation as small PNG files. Colours are Okabe and Ito's, which colour-blind people tell apart too."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from train.evaluation.curves import Bin, Coverage, Roc
from train.metrics import Interval

_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#767676"
_CURVES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DPI = 110
_HALF = 0.5


def plot_confusion(path: Path, matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> None:
    """True labels against answers, shaded by the share of the row."""
    axes = _axes(1.6 + 1.1 * len(labels), 1.4 + 0.9 * len(labels))
    counts = np.array(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > _HALF else "black"
        text = f"{count}\n{shares[row, column]:.1%}"
        axes.text(column, row, text, ha="center", va="center", color=colour)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="answer", ylabel="true label")
    _save(axes, path)


def plot_roc(path: Path, curves: Sequence[Roc]) -> None:
    """False positives on a logarithmic axis: good models differ where there are few."""
    axes = _axes(5.0, 3.8)
    for number, curve in enumerate(curves):
        false = np.maximum(curve.false_positives, 1e-4)
        axes.step(
            false, curve.true_positives, where="post", color=_CURVES[number % len(_CURVES)], label=curve.label, lw=1.8
        )
    axes.set(xscale="log", xlim=(1e-4, 1), ylim=(0, 1.02), xlabel="false positives", ylabel="true positives")
    _percent(axes)
    axes.legend(loc="lower right", title="label", frameon=False)
    _save(axes, path)


def plot_reliability(path: Path, bins: Sequence[Bin]) -> None:
    """Accuracy against confidence, with 95% intervals; on the dashed line probabilities mean what they say."""
    axes = _axes(5.0, 4.2)
    confidence = np.array([each.confidence for each in bins])
    accuracy = np.array([each.accuracy for each in bins])
    spread = np.abs(np.array([each.interval for each in bins]).T - accuracy)
    lowest = max(0.0, min(confidence.min(), *(each.interval[0] for each in bins)) - 0.02)
    axes.plot([lowest, 1], [lowest, 1], color=_GREY, ls="--", lw=1, label="perfectly calibrated")
    axes.errorbar(
        confidence, accuracy, yerr=spread, fmt="o", color=_BLUE, ms=5, lw=1.2, capsize=2,
        label=f"{len(bins)} bins of {bins[0].n} pictures or so",
    )  # fmt: skip
    axes.set(xlim=(lowest, 1.005), ylim=(lowest, 1.005), xlabel="confidence", ylabel="accuracy")
    _percent(axes, both=True)
    axes.legend(loc="upper left", frameon=False)
    _save(axes, path)


def plot_risk_coverage(path: Path, curve: Coverage) -> None:
    """The share of wrong answers if only the most confident pictures are answered."""
    axes = _axes(5.0, 3.6)
    axes.step(curve.coverage, curve.risk, where="post", color=_BLUE, lw=1.8)
    axes.set(xlim=(0, 1), ylim=(0, None), xlabel="share of pictures answered, most confident first")
    axes.set_ylabel("share of wrong answers")
    _percent(axes, both=True)
    _save(axes, path)


def plot_slices(path: Path, slices: Mapping[str, tuple[float, Interval]], overall: float) -> None:
    """Accuracy on kinds of picture, with 95% intervals, against the accuracy on all."""
    axes = _axes(5.6, 1.2 + 0.27 * len(slices))
    for place, (value, (low, high)) in enumerate(slices.values()):
        worse = high < overall
        colour = _ORANGE if worse else _BLUE
        axes.plot([low, high], [place, place], color=colour, lw=1.5)
        axes.plot([value], [place], marker="s" if worse else "o", color=colour, ms=5)
    axes.axvline(overall, color=_GREY, ls="--", lw=1)
    axes.set_yticks(range(len(slices)), list(slices))
    axes.invert_yaxis()
    axes.set_xlabel(f"accuracy\ndashed: all, {overall:.2%}; squares: surely below")
    axes.xaxis.set_major_formatter(FuncFormatter(_as_percent))
    _save(axes, path)


def _axes(width: float, height: float) -> Axes:
    """Of a figure of its own, in inches; no window and no global state."""
    axes = Figure(figsize=(width, height), dpi=_DPI, layout="constrained").subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _percent(axes: Axes, *, both: bool = False) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(_as_percent))
    axes.xaxis.set_major_formatter(FuncFormatter(_as_percent))
    axes.grid(color="#dddddd", lw=0.6, axis="both" if both else "y")
    axes.set_axisbelow(True)


def _as_percent(share: float, _place: int | None) -> str:
    """With as many digits as it has."""
    return f"{100 * share:.4g}%"


def _save(axes: Axes, path: Path) -> None:
    """Without a version note, so that the same numbers give the same file."""
    figure = axes.get_figure()
    if isinstance(figure, Figure):
        figure.savefig(path, metadata={"Software": None})

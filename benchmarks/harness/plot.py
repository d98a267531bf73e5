"""Bars beside the tables: one picture a benchmark, a panel a measure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_INCHES = (3.8, 2.6)
_OURS, _OTHERS = "#2a6f97", "#b8b8b8"


@dataclass(frozen=True, slots=True)
class Panel:
    """One measure: a bar for each name, with what each round measured."""

    title: str
    rounds: Mapping[str, Sequence[float]]
    """The first is this project's, and so is what begins with the same word."""


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Draw bars up to the median, with a line from the smallest to the largest, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(_INCHES[0] * len(panels), _INCHES[1]), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        middles = [statistics.median(each) for each in panel.rounds.values()]
        below = [middle - min(each) for middle, each in zip(middles, panel.rounds.values(), strict=True)]
        above = [max(each) - middle for middle, each in zip(middles, panel.rounds.values(), strict=True)]
        names = list(panel.rounds)
        ours = [name.split()[0] == names[0].split()[0] for name in names]
        colours = [_OURS if each else _OTHERS for each in ours]
        bars = axes.bar(names, middles, color=colours, yerr=[below, above], capsize=3)
        axes.bar_label(bars, [_number(middle) for middle in middles], fontsize=8, padding=2)
        axes.margins(y=0.15)
        axes.set_title(panel.title, fontsize=9)
        axes.tick_params(labelsize=7)
    FigureCanvasAgg(figure).print_png(path)


def _number(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004

"""Bars beside the tables: one picture a benchmark, a panel a measure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_INCHES = (3.4, 2.6)
_OURS, _OTHERS = "#2a6f97", "#b8b8b8"


@dataclass(frozen=True, slots=True)
class Panel:
    """One measure: a bar for each name, with what each round measured."""

    title: str
    rounds: Mapping[str, Sequence[float]]
    """The first is this project's."""


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Draw bars up to the median, with a line from the smallest to the largest, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(_INCHES[0] * len(panels), _INCHES[1]), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        middles = [statistics.median(each) for each in panel.rounds.values()]
        below = [middle - min(each) for middle, each in zip(middles, panel.rounds.values(), strict=True)]
        above = [max(each) - middle for middle, each in zip(middles, panel.rounds.values(), strict=True)]
        colours = [_OURS, *[_OTHERS] * (len(middles) - 1)]
        bars = axes.bar(list(panel.rounds), middles, color=colours, yerr=[below, above], capsize=3)
        axes.bar_label(bars, fmt="%.3g", fontsize=8, label_type="center")
        axes.set_title(panel.title, fontsize=9)
        axes.tick_params(labelsize=7)
    FigureCanvasAgg(figure).print_png(path)

"""Plots as SVG, drawn without a library: bars that stand on each other, and bars that lie.

They are as wide as there is room: what lies along is in percent of the width, all else, letters too, in pixels.
"""

from collections.abc import Mapping, Sequence
from html import escape

from markupsafe import Markup

HEIGHT = 180
COLOURS = ("#c2410c", "#0f766e", "#6d28d9", "#a16207", "#be185d", "#1d4ed8", "#57534e")
_LINE = 22
_BAR = 14
_LONGEST = 85.0
"""In percent: right of it there is room for the number."""
_GAP = 0.15
"""Between columns, as a part of their width."""


def stacked(
    columns: Sequence[Mapping[str, float]], series: Sequence[str], *, title: str, ends: tuple[str, str]
) -> Markup:
    """Columns over time.

    Args:
        columns: The value of each series, by column.
        series: Names, from the bottom up.
        title: What the plot shows, for those who do not see it.
        ends: What to write below the first and the last column.
    """
    highest = max((sum(column.values()) for column in columns), default=0) or 1
    width = 100 / max(1, len(columns))
    parts = [_text(0, _BAR, f"{highest:g}")]
    for index, column in enumerate(columns):
        top = float(_LINE + HEIGHT)
        for colour, name in zip(_colours(len(series)), series, strict=True):
            height = HEIGHT * column.get(name, 0) / highest
            top -= height
            if height:
                parts.append(_bar(index * width, top, f"{width * (1 - _GAP):.2f}%", height, colour))
    below = 2 * _LINE + HEIGHT
    parts += [_text(0, below, ends[0]), _text(100, below, ends[1], anchor="end")]
    return _figure("".join(parts), title, _legend(series), height=below)


def lying(values: Mapping[str, float], *, title: str) -> Markup:
    """One bar a name, below it, and the longest for the largest value."""
    highest = max(values.values(), default=0) or 1
    row = 2 * _LINE
    parts = []
    for index, (name, value) in enumerate(values.items()):
        top, length = index * row + _LINE, _LONGEST * value / highest
        parts.append(_text(0, top - 6, name))
        parts.append(_bar(0, top, f"{max(length, 0.2):.2f}%", _BAR, COLOURS[0]))
        parts.append(_text(length, top + _BAR - 2, f"{value:g}", shift=8))
    return _figure("".join(parts), title, "", height=row * len(values))


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def _bar(left: float, top: float, width: str, height: float, colour: str) -> str:
    return f'<rect x="{left:.2f}%" y="{top:.1f}" width="{width}" height="{height:.1f}" fill="{colour}"/>'


def _text(left: float, top: float, text: str, *, anchor: str = "start", shift: float = 0) -> str:
    return f'<text x="{left:.2f}%" y="{top:.1f}" dx="{shift:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _legend(series: Sequence[str]) -> str:
    """Names with their colours, as a drawing of its own: a policy forbids styles in attributes."""
    entries = (
        f'<span><svg width="12" height="12" aria-hidden="true">{_bar(0, 0, "100%", 12, colour)}</svg> '
        f"{escape(name)}</span>"
        for colour, name in zip(_colours(len(series)), series, strict=True)
    )
    return "".join(entries)


def _figure(drawing: str, title: str, legend: str, *, height: float) -> Markup:
    svg = f'<svg class="plot" height="{height:.0f}" role="img" aria-label="{escape(title)}">{drawing}</svg>'
    caption = f"<figcaption><b>{escape(title)}</b> {legend}</figcaption>"
    return Markup(f"<figure>{caption}{svg}</figure>")  # noqa: S704 - everything in it is escaped above

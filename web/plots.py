"""Plots as SVG, drawn without a library: bars that stand on each other, and bars that lie."""

from collections.abc import Mapping, Sequence
from html import escape

from markupsafe import Markup

WIDTH, HEIGHT = 640, 180
COLOURS = ("#c2410c", "#0f766e", "#6d28d9", "#a16207", "#be185d", "#1d4ed8", "#57534e")


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
    width = WIDTH / max(1, len(columns))
    bars = []
    for index, column in enumerate(columns):
        top = float(HEIGHT)
        for colour, name in zip(_colours(len(series)), series, strict=True):
            height = HEIGHT * column.get(name, 0) / highest
            top -= height
            if height:
                bars.append(_bar(index * width, top, max(width - 1, 1), height, colour))
    texts = _text(0, HEIGHT + 18, ends[0]) + _text(WIDTH, HEIGHT + 18, ends[1], "end") + _text(0, -6, f"{highest:g}")
    return _figure("".join(bars) + texts, title, _legend(series))


def lying(values: Mapping[str, float], *, title: str) -> Markup:
    """One bar a name, longest value at full width."""
    highest = max(values.values(), default=0) or 1
    row = 30
    parts = []
    for index, (name, value) in enumerate(values.items()):
        length = (WIDTH - 260) * value / highest
        parts.append(_text(150, index * row + 16, name, "end"))
        parts.append(_bar(160, index * row, max(length, 1), row - 8, COLOURS[0]))
        parts.append(_text(170 + length, index * row + 16, f"{value:g}"))
    return _figure("".join(parts), title, "", height=row * max(1, len(values)))


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def _bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _legend(series: Sequence[str]) -> str:
    """Names with their colours, as a drawing of its own: a policy forbids styles in attributes."""
    entries = (
        f'<span><svg width="12" height="12" aria-hidden="true">{_bar(0, 0, 12, 12, colour)}</svg> {escape(name)}</span>'
        for colour, name in zip(_colours(len(series)), series, strict=True)
    )
    return "".join(entries)


def _figure(drawing: str, title: str, legend: str, *, height: float = HEIGHT) -> Markup:
    box = f"0 -20 {WIDTH} {height + 44:.0f}"
    svg = f'<svg class="plot" viewBox="{box}" role="img" aria-label="{escape(title)}">{drawing}</svg>'
    caption = f"<figcaption><b>{escape(title)}</b> {legend}</figcaption>"
    return Markup(f'<figure tabindex="0">{caption}{svg}</figure>')  # noqa: S704 - everything in it is escaped above

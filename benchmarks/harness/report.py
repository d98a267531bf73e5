"""What the benchmarks have to say: sections of `RESULTS.md`, each written by the benchmark that measured it."""

import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_INCHES = (3.8, 2.6)
_OURS, _OTHERS = "#2a6f97", "#b8b8b8"
RESULTS = Path(__file__).resolve().parents[1] / "RESULTS.md"
_PACKAGES = ("onnxruntime", "pillow", "gradio", "fastapi", "uvicorn", "torch", "timm", "transformers", "litserve")


@dataclass(frozen=True, slots=True)
class Panel:
    """One measure: a bar for each name, with what each round measured."""

    title: str
    rounds: Mapping[str, Sequence[float]]
    """The first is this project's, and so is what begins with the same word."""


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark's results."""

    name: str
    """Of the benchmark: the section is replaced when it runs again."""
    title: str
    lines: Sequence[str]
    """Markdown."""
    failures: Sequence[str] = field(default=())
    """Answers that are not what they should be. Times that miss their goal are not failures: machines differ."""

    panels: Sequence[Panel] = field(default=())
    """Drawn into one picture."""

    def markdown(self) -> str:
        """With the marks by which it is found again."""
        plot = [f"![{self.title}]({self.name}.png)", ""] if self.panels else []
        return "\n".join([_begin(self.name), f"## {self.title}", "", *plot, *self.lines, _end(self.name)])


def write(section: Section, path: Path = RESULTS) -> None:
    """Put a section, with its picture, in the place of its predecessor, or at the end."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    pattern = re.compile(re.escape(_begin(section.name)) + ".*?" + re.escape(_end(section.name)), re.DOTALL)
    new = section.markdown()
    text = pattern.sub(lambda _: new, text) if pattern.search(text) else f"{text.rstrip()}\n\n{new}\n"
    path.write_text(text, encoding="utf-8")
    if section.panels:
        draw(section.panels, path.parent / f"{section.name}.png")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median, and smallest and largest in brackets where there are several."""
    middle, low, high = statistics.median(values), min(values), max(values)
    if len(values) == 1:
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Theirs divided by ours, round by round: what disturbs one disturbs the other."""
    return [their / our for our, their in zip(ours, theirs, strict=True)]


def circumstances() -> str:
    """Machine, versions and date, in a sentence."""
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES if _installed(name))
    now = datetime.now(UTC)
    return f"{now:%Y-%m-%d %H:%M} UTC; {_processor()}; Python {platform.python_version()}, {versions}."


def _installed(name: str) -> bool:
    try:
        version(name)
    except ModuleNotFoundError:
        return False
    return True


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.*)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else []
    return f"{len(names)} cores of {names[0]}" if names else platform.processor()


def _begin(name: str) -> str:
    return f"<!-- {name}: written by `make bench` -->"


def _end(name: str) -> str:
    return f"<!-- end of {name} -->"


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

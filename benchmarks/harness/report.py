"""What the benchmarks have to say: sections of `RESULTS.md`, each written by the benchmark that measured it."""

import platform
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness.plot import Panel, draw

RESULTS = Path(__file__).resolve().parents[1] / "RESULTS.md"
_PACKAGES = ("onnxruntime", "pillow", "gradio", "fastapi", "uvicorn", "torch", "timm", "transformers", "litserve")


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark's results."""

    name: str
    """Of the benchmark: the section is replaced when it runs again."""
    title: str
    lines: Sequence[str]
    """Markdown."""
    failures: Sequence[str] = field(default=())
    """Answers that are not what they should be. Times that miss their goal are no failures: machines differ."""

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

"""`make shape`: measures the layout of the code base and fails where it outgrows its limits.

The limits keep the code livable: folders that can be read at a glance, modules worth opening, SQL and the Hub's client
in one place each. Raise a limit only with a reason in the commit.
"""

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("benchmarks", "catdog", "demo", "deploy", "devhub", "feedback", "scripts", "train", "web")
_SHORT_LINES = 60
_ROOT = re.compile(
    r"^app$|__main__$|\.commands\.|^(web\.(app|i18n|middleware|gradio_guard\.mount)|devhub\.application)$"
)
"""Composition roots: a command, a route, a language or a middleware is imported in one place, by design."""
_SHORT_BY_DESIGN = re.compile(r"^app$|__main__$|^benchmarks\.peers\.")
"""Entry points, and other people's ways to serve a model, which are measured as short as they are."""
_SQL = re.compile(r"\b(SELECT .+ FROM|INSERT (OR \w+ )?INTO|UPDATE \w+ SET|DELETE FROM|CREATE (TABLE|INDEX))\b")
_HUB_ERRORS = frozenset({"HfHubHTTPError", "httpx2"})
_PRODUCT = ("catdog", "feedback", "train", "deploy", "web")
"""Without measurements, stories and the hub for tests, which may talk to databases and hubs as others do."""


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file of the product."""

    name: str
    """Dotted, without `__init__`."""
    folder: str
    lines: int
    code_lines: int
    """Without blank ones."""
    imports: frozenset[str]
    """Modules of the product that it imports, dotted."""
    outside: frozenset[str]
    """Names that it imports from other packages."""
    has_sql: bool


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table."""

    what: str
    value: float
    limit: float
    unit: str = ""
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Whether the value is within its limit."""
        return self.value <= self.limit


def read_modules(root: Path = ROOT) -> list[Module]:
    """Every module of the product, tests excluded."""
    paths = sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
    names = {_name(path.relative_to(root)) for path in paths} | {"app"}
    return [_read(path, root, names) for path in (*paths, root / "app.py")]


def measure(modules: Iterable[Module], readme: str) -> list[Measure]:
    """The rows of the table."""
    modules = list(modules)
    real = [module for module in modules if module.lines > 1]
    folders = Counter(module.folder for module in modules)
    largest, count = folders.most_common(1)[0]
    importers = defaultdict(list)
    for module in modules:
        for name in module.imports:
            importers[name].append(module.name)
    single = [
        module for module in real if len(importers[module.name]) == 1 and not _ROOT.search(importers[module.name][0])
    ]
    short = [module for module in real if module.lines <= _SHORT_LINES and not _SHORT_BY_DESIGN.search(module.name)]
    cycles = _cycles(_folder_graph(modules))
    product = [module for module in real if module.name.startswith(_PRODUCT)]
    sql = sorted(module.name for module in product if module.has_sql and module.folder != "feedback/journal")
    hub = sorted(module.name for module in product if module.outside & _HUB_ERRORS)
    return [
        Measure("most Python files in one folder", count, 15, detail=largest),
        Measure("modules with a single importer, composition roots aside", len(single), 40),
        Measure(f"modules of {_SHORT_LINES} lines or fewer", 100 * len(short) / len(real), 10, "%"),
        Measure("import cycles between folders", len(cycles), 0, detail="; ".join(map(" - ".join, cycles))),
        Measure("modules with SQL outside feedback/journal", len(sql), 0, detail=", ".join(sql)),
        Measure("modules that handle the Hub client's errors", len(hub), 1, detail=", ".join(hub)),
        Measure("words in README.md", len(readme.split()), 1_500),
        Measure("lines of product code, blank ones left out", sum(module.code_lines for module in modules), 37_000),
    ]


def main() -> int:
    """Print the table; 1 if a limit is exceeded."""
    rows = measure(read_modules(), (ROOT / "README.md").read_text(encoding="utf-8"))
    for row in rows:
        mark = "ok  " if row.holds else "OVER"
        print(
            f"{mark} {row.what}: {row.value:,.0f}{row.unit} (at most {row.limit:,.0f}{row.unit}) {row.detail}".rstrip()
        )
    return 0 if all(row.holds for row in rows) else 1


def _read(path: Path, root: Path, names: set[str]) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    imported = set(_imported(tree))
    name = _name(path.relative_to(root))
    ours = {found for each in imported if (found := _known(each, names)) and found != name}
    outside = {
        part for each in imported if not _known(each, names) for part in (each.split(".")[0], each.split(".")[-1])
    }
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return Module(
        name,
        path.parent.relative_to(root).as_posix(),
        text.count("\n"),
        sum(bool(line.strip()) for line in text.splitlines()),
        frozenset(ours),
        frozenset(outside),
        any(_SQL.search(each) for each in texts),
    )


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _known(name: str, names: set[str]) -> str | None:
    """The module behind an imported name: itself, or the one that defines it."""
    if name in names:
        return name
    parent = name.rpartition(".")[0]
    return parent if parent in names else None


def _folder_graph(modules: Iterable[Module]) -> Mapping[str, set[str]]:
    """Which room imports which: a folder inside a package, or a module at the top of one, such as its command line."""
    room_of = {module.name: module.folder if "/" in module.folder else module.name for module in modules}
    graph: dict[str, set[str]] = defaultdict(set)
    for module in modules:
        room = room_of[module.name]
        graph[room] |= {room_of[name] for name in module.imports if name in room_of} - {room}
    return graph


def _cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of folders that import each other, directly or by way of others."""
    reach: dict[str, set[str]] = {folder: _reachable(graph, folder) for folder in graph}
    groups = {tuple(sorted(b for b in reach[a] if a in reach.get(b, set()))) for a in graph}
    return [list(group) for group in sorted(groups) if len(group) > 1]


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        folder = waiting.pop()
        if folder not in found:
            found.add(folder)
            waiting.extend(graph.get(folder, ()))
    return found


if __name__ == "__main__":
    sys.exit(main())

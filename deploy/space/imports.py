"""Which files of a repository a program needs: what it imports, and what that imports."""

import ast
from collections.abc import Iterator
from pathlib import Path


def imported_files(root: Path, program: str) -> frozenset[str]:
    """The Python files that a program consists of, itself included, as paths from the repository's root.

    Imports within functions count, since they run some time; so do a package's `__init__.py` files.

    Args:
        root: The repository, from which modules are named.
        program: The path of the program's main file in it.
    """
    found: set[str] = set()
    waiting = [program]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            tree = ast.parse((root / path).read_text(encoding="utf-8"), path)
            waiting.extend(file for name in _imported(tree) for file in _files(root, name))
    return frozenset(found)


def _imported(tree: ast.AST) -> Iterator[str]:
    """Modules, and names that may be modules; the repository has no relative imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(root: Path, module: str) -> Iterator[str]:
    """The files behind a module's name that are in the repository: its own, and those of its packages."""
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        path = Path(*parts[:count])
        candidates = (path / "__init__.py", path.with_suffix(".py"))
        yield from (file.as_posix() for file in candidates if (root / file).is_file())

"""The files of the Space: exactly what the app needs, and the README that configures it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from catdog.errors import SettingsError
from deploy.space.spacefile import Spacefile, check_gradio, in_namespace

README = "README.md"
REQUIREMENTS = "requirements.txt"

_TEXT = """
# {title}

{short_description}

The model is [{model}](https://huggingface.co/{model}); the app picks up its new revisions by itself. Press
**Wrong label** where it errs: what you say becomes data for the next model.

This Space is deployed from a repository; changes made here are undone by the next deployment.
"""


def collect_files(root: Path, spacefile: Spacefile, namespace: str) -> dict[str, bytes]:
    """Everything that is shipped, by path.

    Args:
        root: The repository.
        spacefile: Says what to ship.
        namespace: The Space's.

    Raises:
        SettingsError: a pattern matches nothing, the app is not there, or Gradio's versions differ.
    """
    paths = {path for pattern in spacefile.files for path in _matching(root, pattern)}
    if not (root / spacefile.app_file).is_file():
        raise SettingsError(f"The Spacefile's app_file {spacefile.app_file} does not exist.")
    paths |= imported_files(root, spacefile.app_file)
    if REQUIREMENTS not in paths:
        raise SettingsError(f"The Spacefile's files lack {REQUIREMENTS}, without which the app cannot be installed.")
    files = {path: (root / path).read_bytes() for path in sorted(paths)}
    files[REQUIREMENTS] = without_hashes(files[REQUIREMENTS].decode()).encode()
    check_gradio(spacefile, files[REQUIREMENTS].decode())
    files[README] = render_readme(spacefile, namespace).encode()
    return files


def without_hashes(requirements: str) -> str:
    """The pins alone: the Space's builder adds packages of its own, for which pip would ask for hashes too."""
    return re.sub(r" \\\n +--hash=\S+", "", requirements)


def render_readme(spacefile: Spacefile, namespace: str) -> str:
    """The Space's README: front matter that configures it, and a few words for visitors."""
    model = in_namespace(spacefile.model, namespace)
    matter = {
        "title": spacefile.title,
        "emoji": spacefile.emoji,
        "colorFrom": spacefile.color_from,
        "colorTo": spacefile.color_to,
        "sdk": spacefile.sdk,
        "sdk_version": spacefile.sdk_version,
        "python_version": spacefile.python_version,
        "app_file": spacefile.app_file,
        "license": spacefile.license,
        "short_description": spacefile.short_description,
        "models": [model],
    }
    text = _TEXT.format(title=spacefile.title, short_description=spacefile.short_description, model=model)
    return f"---\n{yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)}---\n{text}"


def _matching(root: Path, pattern: str) -> list[str]:
    """Files that a pattern matches; never caches, nor what is outside the repository."""
    try:
        found = [path.relative_to(root) for path in root.glob(pattern) if path.is_file()]
    except (NotImplementedError, ValueError):  # an absolute path, an empty one, or one with `..`
        found = []
    names = [path.as_posix() for path in found if "__pycache__" not in path.parts and ".." not in path.parts]
    if not names:
        raise SettingsError(f"The Spacefile's files name {pattern!r}, which matches nothing in {root}.")
    return names


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
            waiting.extend(file for name in _imported(tree) for file in _module_files(root, name))
    return frozenset(found)


def _imported(tree: ast.AST) -> Iterator[str]:
    """Modules, and names that may be modules; the repository has no relative imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module_files(root: Path, module: str) -> Iterator[str]:
    """The files behind a module's name that are in the repository: its own, and those of its packages."""
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        path = Path(*parts[:count])
        candidates = (path / "__init__.py", path.with_suffix(".py"))
        yield from (file.as_posix() for file in candidates if (root / file).is_file())

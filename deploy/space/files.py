"""The files of the Space: exactly what the app needs, and the README that configures it."""

from pathlib import Path

import yaml

from catdog.errors import SettingsError
from deploy.space.imports import imported_files
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
    check_gradio(spacefile, files[REQUIREMENTS].decode())
    files[README] = render_readme(spacefile, namespace).encode()
    return files


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

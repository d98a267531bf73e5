"""Adds to the wheel what stands outside the packages: the embedded model, the card's template, the static page.

Everything else about the package is in pyproject.toml. What is copied here lies in `catdog/resources`, which takes the
repository's place (`catdog.settings.PROJECT_ROOT`) where the package is installed.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

_RESOURCES = ("model/metadata.json", "model/onnx/model.onnx", "model_card.md", "browser/*.*", "browser/i18n/*.json")


class BuildWithResources(build_py):
    """Builds the packages, then copies the resources beside them."""

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:
            return
        root, target = Path(__file__).resolve().parent, Path(self.build_lib) / "catdog" / "resources"
        for path in (path for pattern in _RESOURCES for path in root.glob(pattern)):
            copy = target / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


setup(cmdclass={"build_py": BuildWithResources})

"""The page's JavaScript is type-checked."""

import subprocess
from pathlib import Path

import pytest

from deploy.static.build import BROWSER

pytestmark = pytest.mark.slow  # the compiler takes seconds


@pytest.mark.parametrize("project", ["tsconfig.json", "tsconfig.worker.json"])
def test_the_types_are_right(project: str, node: str, packages: Path) -> None:
    done = subprocess.run(
        [node, packages / "typescript" / "bin" / "tsc", "--project", project],
        cwd=BROWSER,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout

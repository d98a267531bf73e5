"""The short form of `make torture`."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_repeated_whatever_fails() -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.endurance.torture",
        "--faults",
        "12",
        "--rows",
        "100",
        "--app",
        "0",
        "--power-cuts",
        "0",
        "--seed",
        "3",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none lost, none twice" in done.stdout

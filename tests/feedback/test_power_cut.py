"""The short form of the power cuts of `make torture`: what was acknowledged is on the disk, not only written."""

from pathlib import Path

import pytest

from benchmarks.endurance.power_cut import build, cut_power

pytestmark = pytest.mark.slow


@pytest.fixture
def library(tmp_path: Path) -> Path:
    found = build(tmp_path)
    if found is None:
        pytest.skip("no C compiler, or not Linux")
    return found


def test_a_power_cut_loses_no_row_that_was_acknowledged(library: Path, tmp_path: Path) -> None:
    outcome = cut_power(library, tmp_path / "cuts", rows=60, cuts=3)
    assert len(outcome.acknowledged) >= 60
    assert (outcome.lost, outcome.damaged) == (set(), 0)


def test_the_library_notices_commits_that_are_not_flushed(library: Path, tmp_path: Path) -> None:
    assert cut_power(library, tmp_path / "cuts", rows=20, cuts=3, mode="NORMAL").lost

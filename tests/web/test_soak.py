"""The soak sees what it looks for, and the list of attacks names tests that exist."""

import re
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.endurance.soak import problems
from benchmarks.harness.app_process import State


@pytest.mark.parametrize(
    ("after", "log", "left", "words"),
    [
        (State(316, 30, 10), "", [], "memory grew from 300 to 316 MB"),
        (State(300, 36, 10), "", [], "open files and sockets grew"),
        (State(300, 30, 27), "", [], "threads grew"),
        (State(300, 30, 10), "Traceback (most recent", [], "unexpected errors"),
        (State(300, 30, 10), "", ["catdog-uploads-x"], "still catdog-uploads-x"),
    ],
)
def test_the_soak_sees_growth_errors_and_leftovers(after: State, log: str, left: list[str], words: str) -> None:
    (found,) = problems(State(300, 30, 10), after, Counter(), log, left)
    assert re.search(words, found)


def test_every_attack_that_is_listed_names_a_test_that_exists() -> None:
    root = Path(__file__).resolve().parents[2]
    named = re.findall(r"tests/[\w/]+\.py", (root / "docs" / "security.md").read_text())
    assert len(set(named)) > 10
    assert [name for name in set(named) if not (root / name).is_file()] == []

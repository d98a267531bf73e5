"""The README stays true."""

import re

import pytest

from catdog.model.metadata import load_metadata
from catdog.settings import EMBEDDED_MODEL
from tests.conftest import ROOT, help_of

README = (ROOT / "README.md").read_text()


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.split()) <= 1500


def test_the_figures_are_those_of_the_model() -> None:
    test = load_metadata(EMBEDDED_MODEL).metrics["test"]
    low, high = test["intervals"]["accuracy"]
    told = f"{test['accuracy']:.2%} of {test['n']:,} test pictures (95% interval {low:.2%} to {high:.2%};"
    assert told in " ".join(README.split())


def test_the_figures_for_true_shapes_are_those_of_the_model() -> None:
    shaped = load_metadata(EMBEDDED_MODEL).metrics["true_shape"]
    low, high = shaped["intervals"]["accuracy"]
    told = f"{shaped['accuracy']:.2%} of {shaped['n']} of them in their true shape ({low:.2%} to {high:.2%})"
    assert told in " ".join(README.split())


def test_the_speeds_are_those_of_the_benchmarks() -> None:
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text()
    serving, start = (results.split(f"<!-- {name}: ")[1].split("<!-- end")[0] for name in ("serving", "startup"))
    one, many, large = (rows_of_servers(table) for table in serving.split("(goal: ")[1:])
    first = rows_of_servers(start)
    for row in (
        ["a photo of 34 kB, one client, median", *(f"{each[1]} ms" for each in one)],
        ["the same, 32 clients", *(f"{float(each[3]):.0f} a second" for each in many)],
        ["a photo of 12 megapixels, median", *(f"{float(each[1]):.0f} ms" for each in large)],
        ["from the start of the process to the first answer", *(f"{float(each[1]):.1f} s" for each in first)],
        ["memory while serving", *(f"{each[3]} MB" for each in first)],
    ):
        assert f"| {' | '.join(row)} |" in README


def rows_of_servers(section: str) -> list[list[str]]:
    """The rows about the three servers, each cell without its spread."""
    rows = [line.strip("| ").split(" | ") for line in section.splitlines()]
    names = ("catdog", "FastAPI", "LitServe")
    return [[cell.partition(" (")[0] for cell in row] for row in rows if row[0].startswith(names)]


def test_every_link_to_a_file_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_every_command_that_the_readme_names_is_there() -> None:
    for package, command in sorted(set(re.findall(r"python -m (\w+) (\w+)", README))):
        assert help_of(package, command)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE))))
def test_every_make_target_that_the_readme_names_is_there(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)

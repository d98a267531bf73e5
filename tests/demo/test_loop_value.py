"""What the benchmark of the loop's value feeds to retraining, and what it tells."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from demo.loop_value import CORRECTIONS, RANDOM, WRONG, Point, as_table, first, plot, said
from demo.pictures import Photo
from tests.feedback.rows import PREDICTION

PHOTOS = [Photo(f"{number}.jpg", b"", "cat" if number % 3 else "dog") for number in range(600)]


def errors(wrong: float) -> set[str]:
    return {photo.name for photo in PHOTOS if said(photo, ("cat", "dog"), wrong) != photo.label}


def test_as_many_answers_are_wrong_as_asked_and_whoever_errs_errs_at_larger_shares_too() -> None:
    for less, more in pairwise(WRONG):
        assert errors(less) < errors(more)
    for wrong in WRONG:
        assert len(errors(wrong)) / len(PHOTOS) == pytest.approx(wrong, abs=0.04)


def test_random_labels_do_not_depend_on_the_picture() -> None:
    assert len(errors(RANDOM)) / len(PHOTOS) == pytest.approx(0.5, abs=0.05)


def test_answers_are_taken_up_to_a_number_of_corrections() -> None:
    told = [(photo, PREDICTION) for photo in PHOTOS]  # it always says cat: every third is wrong
    taken = first(told, 4)
    assert [photo.label for photo, _ in taken].count("dog") == 4
    assert taken == told[: len(taken)]
    assert first(told, 10_000) == told


def test_the_table_has_differences_and_reasons_and_the_plot_is_a_picture(tmp_path: Path) -> None:
    champion = Point(0.0, 0, 0, night=0.7, day=0.9, accepted=None)
    better = [
        replace(champion, wrong=wrong, corrections=corrections, answers=99, night=0.75, accepted=True)
        for wrong in (*WRONG, RANDOM)
        for corrections in CORRECTIONS
    ]
    better[-1] = replace(better[-1], day=0.8, accepted=False, reasons=("-10.00 points",))
    table = as_table([champion, *better])
    assert "| 5% | 60 | 99 | 75.0% (+5.00) | 90.0% (+0.00) | accepted |" in table
    assert "| random labels | 160 | 99 | 75.0% (+5.00) | 80.0% (-10.00) | refused: -10.00 points |" in table
    plot([champion, *better], tmp_path / "value.png")
    assert (tmp_path / "value.png").read_bytes().startswith(b"\x89PNG")

"""What the benchmark of the loop's value feeds to retraining, and what it tells."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.kinds import KINDS, make
from demo.loop_value import POISON, RANDOM, Point, Shown, answered, as_table, plot, said
from tests.feedback.rows import PREDICTION
from tests.train.pictures import picture

LABELS = ("cat", "dog")


def shown(count: int, wrong_every: int = 3) -> list[Shown]:
    """The model says cat: every third time it is a dog."""
    blank = Image.new("RGB", (8, 8))
    return [Shown(str(n), blank, "dog" if n % wrong_every == 0 else PREDICTION.label, PREDICTION) for n in range(count)]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_is_made_the_same_way_each_time_and_keeps_the_size(kind: str) -> None:
    photo = picture("amber", 1, (120, 90))
    first, again, other = (make(kind, photo, name) for name in ("a", "a", "b"))
    assert first.size == photo.size
    assert first.tobytes() == again.tobytes()
    assert kind == "asis" or first.tobytes() != other.tobytes()


def test_seven_in_ten_answers_correct_a_mistake_and_the_others_confirm() -> None:
    counts = Counter(each.label for each in answered(shown(600), 100))
    assert counts == {"dog": 70, "cat": 30}


def test_where_mistakes_are_rare_more_answers_confirm() -> None:
    counts = Counter(each.label for each in answered(shown(600, wrong_every=20), 100))
    assert counts == {"dog": 30, "cat": 70}


@pytest.mark.parametrize("wrong", [0.0, 0.05, 0.2])
def test_as_many_answers_are_wrong_as_asked(wrong: float) -> None:
    told = shown(2000)
    errors = sum(label != each.label for each, label in zip(told, said(told, LABELS, str(wrong)), strict=True))
    assert errors / len(told) == pytest.approx(wrong, abs=0.03)


def test_random_labels_do_not_depend_on_the_picture_and_a_poisoner_says_one_label() -> None:
    told = shown(2000)
    random = [label == each.label for each, label in zip(told, said(told, LABELS, RANDOM), strict=True)]
    assert np.mean(random) == pytest.approx(0.5, abs=0.05)
    changed = {label for each, label in zip(told, said(told, LABELS, POISON), strict=True) if label != each.label}
    assert changed == {"cat"}


def test_the_table_has_shares_and_reasons_and_the_plot_is_a_picture(tmp_path: Path) -> None:
    good = Point(
        "night", "0.05", 100, 70, 300, 100, 65, 190, 40, 0.6, 0.5, 4000, 2, accepted=True, reasons=(), seconds=90.0
    )
    bad = replace(good, way=RANDOM, wrong_after=110, lost_elsewhere=-1, accepted=False, reasons=("no gain",))
    table = as_table([good, bad])
    rows = (
        "| night | 100 (70) | 5% | 100 -> 65 of 300 | 35% | 190 -> 40 | 0.600 -> 0.500 | -2 of 4,000 | accepted |",
        "| random labels | 100 -> 110 of 300 | -10% | 190 -> 40 | 0.600 -> 0.500 | +1 of 4,000 | refused: no gain |",
    )
    assert all(row in table for row in rows)
    plot([good, replace(good, answers=200), bad], tmp_path / "value.png")
    assert (tmp_path / "value.png").read_bytes().startswith(b"\x89PNG")

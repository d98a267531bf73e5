"""Kinds of picture: what the model is systematically wrong about."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from catdog.cli import run
from catdog.images.traits import blockiness
from catdog.model.model import Model
from feedback.__main__ import main
from feedback.decision import ReviewedRow, accept, reject
from feedback.journal.journal import Journal
from feedback.review.kinds import KindReport, find_kinds, look_at
from feedback.review.needed import corrections_needed, fisher, wilson
from feedback.row import AUDIT, FeedbackRow
from tests.feedback.rows import some_row
from tests.toy import toy_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_model(tmp_path_factory.mktemp("model") / "toy")


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return Model.load(folder)


def scene(seed: int, brightness: float = 1.0) -> Image.Image:
    """A colourful, sharp picture; those of different seeds are not near-duplicates."""
    blobs = np.random.default_rng(seed).integers(60, 256, (24, 32, 3)).astype(np.uint8)
    image = Image.fromarray(blobs).resize((224, 168), Image.Resampling.NEAREST)
    return ImageEnhance.Brightness(image).enhance(brightness)


def answers(count: int, brightness: float, label: str, *, first: int = 0, revision: str = "one") -> list[FeedbackRow]:
    return [
        some_row(picture=scene(first + seed, brightness), corrected_label=label, model_revision=revision)
        for seed in range(count)
    ]


def report(rows: list[FeedbackRow], model: Model, *, accepted: bool = False) -> KindReport:
    reviewed = [ReviewedRow(row, accept(row, by="me") if accepted else None) for row in rows]
    return find_kinds(look_at(reviewed, model))


def test_dark_mistakes_among_bright_confirmations_are_systematic(model: Model) -> None:
    found = report([*answers(12, 0.2, "dog"), *answers(25, 1.0, "cat", first=100)], model)
    dark = next(each for each in found.kinds if each.name == "dark")
    assert dark.systematic
    assert (dark.answers, dark.corrections, dark.reference, dark.reference_n) == (12, 12, 0, 25)
    assert found.reference == "confirmations"
    assert dark.more_needed == corrections_needed(0.01)  # none is accepted yet
    assert set(found.order()) == {each.row_id for each in found.members["dark"]}


def test_what_the_page_called_neither_and_a_person_named_is_a_mistake(model: Model) -> None:
    turned_away = [replace(row, verdict="neither") for row in answers(12, 0.2, "cat")]
    found = report([*turned_away, *answers(25, 1.0, "cat", first=100)], model)
    dark = next(each for each in found.kinds if each.name == "dark")
    assert dark.systematic
    assert dark.corrections == 12
    assert {each.predicted for each in found.members["dark"]} == {"neither"}


def test_accepted_corrections_count_towards_what_the_gate_needs(model: Model) -> None:
    found = report([*answers(12, 0.2, "dog"), *answers(25, 1.0, "cat", first=100)], model, accepted=True)
    dark = next(each for each in found.kinds if each.name == "dark")
    assert dark.more_needed == corrections_needed(0.01) - 12
    assert found.order() == []


def test_mistakes_that_are_like_the_rest_are_not(model: Model) -> None:
    found = report([*answers(12, 1.0, "dog"), *answers(25, 1.0, "cat", first=100)], model)
    assert not [each.name for each in found.kinds if each.systematic]
    assert found.order() == []


def test_the_random_sample_is_the_reference_where_there_is_one(model: Model) -> None:
    sample = [
        some_row(
            picture=scene(200 + seed, 0.2 if seed < 10 else 1.0), corrected_label="unsure", extra='{"audit": true}'
        )
        for seed in range(30)
    ]
    assert all(row.is_audit for row in sample)
    assert AUDIT == "audit"
    reviewed = [ReviewedRow(row, accept(row, by="me", label="dog" if i < 5 else "cat")) for i, row in enumerate(sample)]
    corrections = [ReviewedRow(row) for row in answers(9, 0.2, "dog")]
    found = find_kinds(look_at([*reviewed, *corrections], model))
    dark = next(each for each in found.kinds if each.name == "dark")
    assert found.reference == "random sample"
    assert found.error_rate == (5, 30)
    assert dark.error_rate == 0.5
    assert (dark.low, dark.high) == pytest.approx((0.237, 0.763), abs=0.01)


def test_rejected_and_damaged_rows_are_left_out_and_unsure_ones_counted(model: Model) -> None:
    rejected, damaged, unsure = some_row(), some_row(image=b"none"), some_row(corrected_label="unsure")
    found = find_kinds(look_at([ReviewedRow(rejected, reject(rejected, by="me")), ReviewedRow(damaged),
                                ReviewedRow(unsure)], model))  # fmt: skip
    assert found.unsure == 1
    assert {each.answers for each in found.kinds} == {0}


@pytest.mark.parametrize(
    ("change", "trait"),
    [
        (lambda image: image.convert("L").convert("RGB"), "grey"),
        (
            lambda image: image.filter(ImageFilter.GaussianBlur(8)),
            "blurred",
        ),
        (lambda image: image.resize((100, 75)), "small"),
        (lambda image: image.resize((400, 130)), "oblong"),
    ],
)
def test_traits_are_seen_in_the_picture(change: object, trait: str, model: Model) -> None:
    (seen,) = look_at([ReviewedRow(some_row(picture=change(scene(1))))], model)
    assert trait in seen.traits
    (plain,) = look_at([ReviewedRow(some_row(picture=scene(1)))], model)
    assert not plain.traits


def test_strong_compression_shows_its_blocks() -> None:
    smooth = scene(3).resize((320, 240), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    smooth.save(out, "JPEG", quality=8)
    assert blockiness(Image.open(io.BytesIO(out.getvalue()))) > 1.5 * blockiness(smooth)


def test_a_revision_that_is_worse_is_marked(model: Model) -> None:
    rows = [*answers(30, 1.0, "cat", revision="one"), *answers(12, 1.0, "cat", first=50, revision="two")]
    worse = report([*rows, *answers(18, 1.0, "dog", first=80, revision="two")], model)
    marked = [
        (each.revision, each.wrong, each.answers) for each in worse.curve if each.kind == "all" and each.regressed
    ]
    assert marked == [("two", 18, 30)]
    assert not [each for each in report(rows, model).curve if each.regressed]


def test_answers_tell_which_of_champion_and_shadow_was_right(model: Model) -> None:
    said = json.dumps({"shadow": {"model_revision": "next", "label": "dog"}})
    rows = [replace(row, extra=said) for row in [*answers(8, 1.0, "dog"), *answers(1, 1.0, "cat", first=50)]]
    (found,) = report(rows, model).shadow
    assert (found.revision, found.answers, found.challenger_right, found.model_right) == ("next", 9, 8, 1)
    assert found.p == pytest.approx(10 / 512)


def test_a_report_is_a_data_frame(model: Model) -> None:
    frame = report(answers(6, 0.2, "dog"), model).as_frame()
    assert {"name", "corrections", "systematic", "more_needed"} <= set(frame.columns)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    with Journal.open(tmp_path / "data") as journal:
        for row in [*answers(25, 1.0, "cat", first=100), *answers(12, 0.2, "dog")]:
            journal.append(row)
    return tmp_path / "data"


def test_the_command_reports_and_orders_the_review(
    data_dir: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    command = ["report", "--model", str(folder), "--data-dir", str(data_dir)]
    assert run(main, [*command, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "Systematic mistakes: dark" in text
    assert "more corrections" in text
    assert {path.name for path in out.iterdir()} == {"kinds.csv", "curve.csv", "rows.csv", "index.html"}
    assert "data:image/jpeg" in (out / "index.html").read_text()
    wanted = [record["row_id"] for record in csv.DictReader((out / "rows.csv").read_text().splitlines())]
    assert len(wanted) == 12

    assert run(main, [*command, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["review_first"] == wanted
    review = ["review", "--format", "json", "--limit", "12", "--data-dir", str(data_dir)]
    assert run(main, [*review, "--report", str(out)]) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)] == wanted
    assert run(main, [*review, "--report", str(tmp_path)]) == 2


def test_without_feedback_there_is_nothing_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main, ["report", "--data-dir", str(tmp_path / "none")]) == 1
    assert "nothing to report" in capsys.readouterr().err


def test_intervals_and_comparisons_are_those_of_the_textbook() -> None:
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    assert fisher(3, 4, 1, 4) == pytest.approx(0.242857, abs=1e-6)  # Fisher's tea tasting
    assert fisher(0, 0, 1, 4) == 1.0

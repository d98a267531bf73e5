"""Reviewing, as a library and by `python -m feedback review`."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from catdog.cli import run
from catdog.errors import UnknownLabelError, UnknownRowError
from feedback.__main__ import main
from feedback.decision import accept, join, newest
from feedback.journal.journal import Journal
from feedback.review.review import Action, Choice, Review, count
from feedback.row import FeedbackRow, Source
from tests.feedback.rows import noise, some_row
from tests.toy import textured, toy_model


def keep(folder: Path, *rows: FeedbackRow) -> list[FeedbackRow]:
    with Journal.open(folder) as journal:
        for row in rows:
            journal.append(row)
    return list(rows)


def review(folder: Path, *arguments: str) -> int:
    return run(main, ["review", "--data-dir", str(folder), *arguments])


def statuses(folder: Path) -> dict[str, str]:
    with Journal.open(folder) as journal:
        return {entry.row.id: entry.reviewed.status.value for entry in Review(journal).queue()}


def listed(folder: Path, capsys: pytest.CaptureFixture[str], *filters: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert review(folder, "--format", "json", *filters) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_a_row_that_came_after_the_listing_can_be_decided(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        desk = Review(journal)
        assert desk.queue() == []
        journal.append(row := some_row())
        desk.decide([Choice(row.id, Action.ACCEPT, "neither")], by="ann", reason="a fox")
        (entry,) = desk.queue()
        decision = entry.reviewed.decision
        assert decision
        assert (decision.by, decision.reason, decision.corrected_label) == ("ann", "a fox", "neither")
        assert desk.picture(row.id) == row.image
        assert count([entry]) == {"pending": 0, "accepted": 1, "rejected": 0}


def test_a_queue_is_made_again_only_when_the_journal_changed(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal, Journal.open(tmp_path) as another:
        desk = Review(journal)
        journal.append(some_row())
        first = desk.queue()
        assert desk.queue() is first
        another.append(some_row())  # as another process does
        assert len(desk.queue()) == 2


def test_few_rows_are_never_shown_as_they_were_because_the_machine_was_busy(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal, Journal.open(tmp_path) as another:
        journal.append(some_row())
        desk = Review(journal, long_s=0.0)
        assert len(desk.queue()) == 1
        another.append(some_row())
        assert len(desk.queue(at_once=True)) == 2


def test_a_long_queue_is_shown_at_once_with_what_was_decided_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feedback.review.review._FEW", 0)
    with Journal.open(tmp_path) as journal:
        journal.append(row := some_row())
        desk = Review(journal, long_s=0.0)
        (entry,) = desk.queue()
        assert entry.reviewed.status == "pending"
        desk.decide([Choice(row.id, Action.REJECT)], by="ann")
        (entry,) = desk.queue(at_once=True)
        assert entry.reviewed.status == "rejected"
        assert desk.queue()[0].reviewed.status == "rejected"


def test_decisions_are_made_all_or_none(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        desk = Review(journal)
        receipt = journal.append(deleted := some_row()).receipt
        journal.append(row := some_row())
        desk.queue()
        assert receipt
        journal.delete(receipt)
        good = Choice(row.id, Action.REJECT)
        for bad, error in (
            (Choice("nothing", Action.REJECT), UnknownRowError),
            (Choice(deleted.id, Action.ACCEPT), UnknownRowError),
            (Choice(row.id, Action.ACCEPT, "horse"), UnknownLabelError),
        ):
            with pytest.raises(error):
                desk.decide([good, bad], by="ann")
        assert journal.decisions() == []
        with pytest.raises(UnknownRowError):
            desk.picture(deleted.id)


def test_a_decision_replaces_that_of_a_machine_whose_clock_is_ahead(tmp_path: Path) -> None:
    row = some_row()
    ahead = dataclasses.replace(accept(row, by="bob"), id="ffffffff-0000-7000-8000-000000000000")
    with Journal.open(tmp_path) as journal:
        desk = Review(journal, load=lambda: join([row], newest([ahead, *journal.decisions()])))
        desk.decide([Choice(row.id, Action.UNDO)], by="ann")
        (entry,) = desk.queue()
    assert (entry.reviewed.status, entry.reviewed.decision and entry.reviewed.decision.by) == ("pending", "ann")


def test_a_changed_answer_is_pending_again(tmp_path: Path) -> None:
    first, changed = some_row(request_id="1", corrected_label="dog"), some_row(request_id="1", corrected_label="cat")
    keep(tmp_path, first)
    assert review(tmp_path, "--accept", first.id, "--by", "ann") == 0
    keep(tmp_path, changed)
    assert statuses(tmp_path) == {changed.id: "pending"}


def test_the_command_decides_and_undoes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, three, four = keep(tmp_path, *(some_row() for _ in range(4)))
    arguments = ["--accept", one.id, four.id, "--reject", two.id, "--relabel", f"{three.id}=neither"]
    assert review(tmp_path, *arguments, "--by", "ann", "--reason", "looked") == 0
    assert capsys.readouterr().err == "3 accepted, 1 rejected\n"
    assert review(tmp_path, "--undo", four.id, "--by", "bob") == 0
    assert statuses(tmp_path) == {
        one.id: "accepted", two.id: "rejected", three.id: "accepted", four.id: "pending",
    }  # fmt: skip
    with Journal.open(tmp_path) as journal:
        decided = newest(journal.decisions())
    assert decided[three.id].corrected_label == "neither"
    assert (decided[one.id].by, decided[one.id].reason, decided[four.id].by) == ("ann", "looked", "bob")


def test_the_command_lists_what_is_pending_as_text_and_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sure, unsure = keep(
        tmp_path, some_row(probabilities=(0.9, 0.1)), some_row(probabilities=(0.6, 0.4), source=Source.API)
    )
    assert review(tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == [sure.id, unsure.id]
    assert lines[3] == "2 listed; 2 pending, 0 accepted, 0 rejected"
    first, second = listed(tmp_path, capsys)
    assert (first["id"], first["predicted_label"], first["confidence"]) == (sure.id, "cat", 0.9)
    assert (second["corrected_label"], second["agreeing"], second["voters"]) == ("dog", 1, 1)
    assert [row["id"] for row in listed(tmp_path, capsys, "--source", "api")] == [unsure.id]
    assert [row["id"] for row in listed(tmp_path, capsys, "--limit", "1")] == [sure.id]
    assert listed(tmp_path, capsys, "--since", "2999-01-01") == []
    assert review(tmp_path, "--accept", sure.id, "--by", "ann", "--reason", "cl\udcffear") == 0
    assert [row["id"] for row in listed(tmp_path, capsys)] == [unsure.id]
    (accepted,) = listed(tmp_path, capsys, "--status", "accepted", "--label", "dog", "--predicted", "cat")
    assert accepted["decided"]["by"] == "ann"
    assert review(tmp_path, "--status", "rejected") == 0
    assert "Nothing to list (1 pending, 1 accepted, 0 rejected)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--accept", "ROW"], 2, "--by NAME"),
        (["--accept", "ROW", "--reject", "ROW", "--by", "ann"], 2, "more than once"),
        (["--relabel", "ROW", "--by", "ann"], 2, "ID=LABEL"),
        (["--relabel", "ROW=horse", "--by", "ann"], 1, "cat, dog, neither, unsure"),
        (["--reject", "ROW", "nothing", "--by", "ann"], 1, "no feedback row 'nothing'"),
        (["--auto", "0", "--by", "ann"], 2, "at least 1"),
        (["--auto", "1", "--by", "ann", "--model", "nowhere"], 2, "nowhere"),
        (["--auto", "1", "--by", "ann", "--min-probability", "nan"], 2, "from 0 to 1"),
        (["--limit", "-1"], 2, "0 or more"),
    ],
)
def test_wrong_arguments_decide_nothing(
    arguments: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = keep(tmp_path, some_row())
    assert review(tmp_path, *(argument.replace("ROW", row.id) for argument in arguments)) == code
    assert message in capsys.readouterr().err
    assert statuses(tmp_path) == {row.id: "pending"}


def test_there_is_nothing_to_review_without_a_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert review(tmp_path / "missing") == 1
    assert "nothing to review" in capsys.readouterr().err
    assert not (tmp_path / "missing").exists()


def test_rows_are_accepted_without_a_look_only_where_people_agree_and_the_model_does_not_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agreed, alone, disputed, refused, unsure = (noise() for _ in range(5))
    wanted = [some_row(picture=agreed, client=client) for client in ("aa", "bb")]
    keep(
        tmp_path,
        *wanted,
        *(some_row(picture=alone, client="aa") for _ in range(2)),
        *(some_row(picture=disputed, client=c, corrected_label=w) for c, w in (("aa", "dog"), ("bb", "dog"), ("cc", "cat"))),
        *(some_row(picture=refused, client=client, probabilities=(0.99, 0.01)) for client in ("aa", "bb")),
        *(some_row(picture=unsure, client=client, corrected_label="unsure", verdict="unsure") for client in ("aa", "bb")),
    )  # fmt: skip
    assert set(statuses(tmp_path).values()) == {"pending"}
    assert review(tmp_path, "--auto", "2", "--by", "rule") == 0
    assert {row_id for row_id, status in statuses(tmp_path).items() if status == "accepted"} == {w.id for w in wanted}
    assert review(tmp_path, "--auto", "2", "--by", "rule") == 0
    assert "Nothing to accept" in capsys.readouterr().err


def test_the_second_check_can_be_another_model(tmp_path: Path) -> None:
    labels = {"labels": ("red", "green"), "predicted_label": "green", "verdict": "green", "probabilities": (0.0, 1.0)}
    right, wrong = keep(
        tmp_path / "data",
        *(
            dataclasses.replace(some_row(picture=textured(colour)), **labels, corrected_label="red")
            for colour in ("red", "green")
        ),
    )
    model = toy_model(tmp_path / "model", ("red", "green"))
    assert review(tmp_path / "data", "--auto", "1", "--by", "rule") == 0
    assert set(statuses(tmp_path / "data").values()) == {"pending"}
    assert review(tmp_path / "data", "--auto", "1", "--by", "rule", "--model", str(model)) == 0
    assert statuses(tmp_path / "data") == {right.id: "accepted", wrong.id: "pending"}

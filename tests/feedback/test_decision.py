"""Decisions: recorded, undone, and gone with their rows."""

from dataclasses import replace
from pathlib import Path

import pytest

from catdog.errors import UnknownLabelError, UnknownRowError
from feedback.decision import Status, accept, join, newest, reject, undo
from feedback.journal.journal import JOURNAL_FILE, Journal
from tests.feedback.rows import some_row


def test_the_newest_decision_counts_and_all_are_kept(tmp_path: Path) -> None:
    row = some_row()
    with Journal.open(tmp_path) as journal:
        journal.append(row)
        for decision in (accept(row, by="ann"), reject(row, by="bob", reason="blurred"), undo(row, by="ann")):
            journal.decide([decision])
            assert newest(journal.decisions())[row.id] == decision
    with Journal.open(tmp_path) as journal:
        kept = journal.decisions()
    assert [(each.status, each.by, each.reason) for each in kept] == [
        ("accepted", "ann", ""), ("rejected", "bob", "blurred"), ("pending", "ann", ""),
    ]  # fmt: skip


def test_a_relabelled_row_counts_with_the_maintainers_label() -> None:
    row = some_row(corrected_label="dog")
    (plain,) = join([row], {})
    assert (plain.status, plain.label) == (Status.PENDING, "dog")
    (relabelled,) = join([row], newest([accept(row, by="ann", label="neither")]))
    assert (relabelled.status, relabelled.label, relabelled.row.corrected_label) == ("accepted", "neither", "dog")
    (undone,) = join([row], newest([undo(row, by="ann")]))
    assert (undone.status, undone.label) == ("pending", "dog")


def test_a_label_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(UnknownLabelError, match="cat, dog, neither, unsure"):
        accept(some_row(), by="ann", label="horse")


def test_a_later_decision_counts_though_the_clock_was_set_back(tmp_path: Path) -> None:
    row = some_row()
    earlier, later = accept(row, by="ann"), reject(row, by="ann")
    with Journal.open(tmp_path) as journal:
        journal.decide([later])
        journal.decide([earlier])
        assert newest(journal.decisions())[row.id].status == "accepted"


def test_decisions_are_kept_all_or_none(tmp_path: Path) -> None:
    decision = accept(some_row(), by="ann")
    with Journal.open(tmp_path) as journal:
        with pytest.raises(AttributeError):
            journal.decide([decision, None])  # type: ignore[list-item]
        assert journal.decisions() == []
        journal.decide([decision])
        assert journal.decisions() == [decision]


def test_a_deleted_row_takes_its_decisions_along(tmp_path: Path) -> None:
    row, other = some_row(), some_row()
    with Journal.open(tmp_path) as journal:
        receipt = journal.append(row).receipt
        journal.append(other)
        journal.decide([accept(row, by="ann", reason="SOMETHING PRIVATE"), reject(other, by="ann")])
        assert receipt
        assert journal.delete(receipt)
        with pytest.raises(UnknownRowError, match="deleted"):
            journal.decide([reject(other, by="bob"), reject(row, by="ann", reason="SOMETHING PRIVATE")])
        assert [each.row_id for each in journal.decisions()] == [other.id]
    assert all(b"SOMETHING PRIVATE" not in path.read_bytes() for path in tmp_path.glob(f"{JOURNAL_FILE}*"))


def test_a_picture_is_there_until_its_row_is_deleted(tmp_path: Path) -> None:
    row = some_row()
    with Journal.open(tmp_path) as journal:
        receipt = journal.append(row).receipt
        assert journal.picture(row.id) == row.image
        assert journal.picture("nothing") is None
        assert receipt
        journal.delete(receipt)
        assert journal.picture(row.id) is None


def test_labels_come_from_the_row_not_from_the_program() -> None:
    row = replace(some_row(), labels=("ant", "bee", "fly"), corrected_label="fly")
    assert accept(row, by="ann").corrected_label == "fly"
    assert accept(row, by="ann", label="bee").corrected_label == "bee"

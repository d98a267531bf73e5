"""Feedback as a DataFrame; with the Hub's rows see `tests/feedback/hub/test_rows.py`."""

from datetime import UTC
from pathlib import Path

import feedback
from feedback.decision import accept, reject
from feedback.journal.journal import Journal
from tests.feedback.rows import some_row


def test_rows_are_joined_with_the_newest_decision(tmp_path: Path) -> None:
    kept, refused, waiting = some_row(), some_row(), some_row()
    with Journal.open(tmp_path) as journal:
        for row in (kept, refused, waiting):
            journal.append(row)
        journal.decide([reject(kept, by="me"), reject(refused, by="me", reason="blurred")])
        journal.decide([accept(kept, by="you", label="cat")])
    found = feedback.frame(tmp_path).set_index("id")
    assert found.loc[kept.id, ["status", "label", "corrected_label", "decided_by"]].tolist() == [
        "accepted", "cat", "dog", "you",
    ]  # fmt: skip
    assert found.loc[refused.id, ["status", "reason"]].tolist() == ["rejected", "blurred"]
    assert found.loc[waiting.id, "status"] == "pending"
    assert found.loc[waiting.id, "labels"] == list(waiting.labels)
    assert found.loc[waiting.id, "created_at"].to_pydatetime() == waiting.created_at.astimezone(UTC)
    assert found["decided_at"].isna().sum() == 1
    assert "image" not in found
    assert set(feedback.frame(tmp_path, pictures=True)["image"]) == {kept.image, refused.image, waiting.image}


def test_without_feedback_there_are_columns_and_no_rows(tmp_path: Path) -> None:
    found = feedback.frame(tmp_path)
    assert len(found) == 0
    assert {"id", "corrected_label", "status", "label"} < set(found)
    assert not list(tmp_path.iterdir())

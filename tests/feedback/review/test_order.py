"""The order of review, and who agrees with whom."""

import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from feedback.decision import Decision, accept, join, newest, reject
from feedback.review.order import Entry, Filter, build_queue
from feedback.row import FeedbackRow, Source, new_row
from tests.feedback.rows import PREDICTION, noise, some_row


def queue(*rows: FeedbackRow, decisions: Sequence[Decision] = ()) -> list[Entry]:
    return build_queue(join(rows, newest(decisions)))


def ids(entries: Sequence[Entry]) -> list[str]:
    return [entry.row.id for entry in entries]


def predicted(*probabilities: float, **changes: Any) -> FeedbackRow:
    return some_row(probabilities=probabilities, **changes)


def test_the_most_useful_rows_come_first() -> None:
    sure_and_confirmed = predicted(0.99, 0.01, corrected_label="cat")
    sure_but_corrected = predicted(0.99, 0.01, corrected_label="dog")
    unsure_and_corrected = predicted(0.51, 0.49, corrected_label="dog")
    unsure_and_confirmed = predicted(0.51, 0.49, corrected_label="cat")
    expected = [sure_but_corrected, unsure_and_corrected, unsure_and_confirmed, sure_and_confirmed]
    assert ids(queue(*reversed(expected))) == [row.id for row in expected]


def test_people_who_disagree_about_a_picture_bring_it_up() -> None:
    disputed = noise()
    agreed = predicted(0.8, 0.2, corrected_label="cat")
    said_cat = predicted(0.8, 0.2, picture=disputed, corrected_label="cat", client="aa")
    said_dog = predicted(0.8, 0.2, picture=disputed, corrected_label="dog", client="bb")
    alone = predicted(0.9, 0.1, corrected_label="dog")
    entries = queue(alone, agreed, said_cat, said_dog)
    assert ids(entries) == [row.id for row in (said_dog, said_cat, alone, agreed)]
    assert [(entry.agreeing, entry.voters) for entry in entries] == [(1, 2), (1, 2), (1, 1), (1, 1)]
    assert entries[0].signals.disagreement == 1


def test_pictures_unlike_the_training_data_come_before_others_like_it() -> None:
    rows = [predicted(0.9, 0.1, extra=json.dumps({"neither_score": score})) for score in (0.1, 5.0, -3.0)]
    assert ids(queue(*rows)) == [rows[1].id, rows[0].id, rows[2].id]


def test_the_row_keeps_the_models_own_score_for_neither() -> None:
    prediction = dataclasses.replace(PREDICTION, neither_score=1.5)
    row = new_row(
        prediction=prediction,
        picture=noise(),
        corrected_label="dog",
        request_id="r",
        source=Source.API,
        client="",
        extra={"a": 1},
    )
    assert json.loads(row.extra) == {"neither_score": 1.5, "a": 1}


def test_copies_of_a_picture_in_another_size_are_one_group_and_each_client_has_one_vote() -> None:
    picture = noise((17, 16)).resize((170, 160), Image.Resampling.NEAREST)
    copies = [picture, picture.resize((510, 480), Image.Resampling.BICUBIC), picture]
    said = [("dog", "aa"), ("dog", "bb"), ("cat", "aa")]  # aa changed its mind in another request
    rows = [some_row(picture=p, corrected_label=label, client=c) for p, (label, c) in zip(copies, said, strict=True)]
    other = some_row(client="cc")
    entries = {entry.row.id: entry for entry in queue(*rows, other)}
    assert {entries[row.id].group for row in rows} == {rows[0].id}
    assert entries[other.id].group == other.id
    assert [(entries[row.id].agreeing, entries[row.id].voters) for row in rows] == [(1, 2), (1, 2), (1, 2)]


def test_rows_without_a_client_count_as_one() -> None:
    picture = noise()
    entries = queue(*(some_row(picture=picture, client="") for _ in range(3)))
    assert {(entry.agreeing, entry.voters) for entry in entries} == {(1, 1)}


def test_a_rejected_row_has_no_vote() -> None:
    picture = noise()
    good, bad = (some_row(picture=picture, client=client, corrected_label=label) for client, label in
                 (("aa", "dog"), ("bb", "cat")))  # fmt: skip
    entries = {e.row.id: e for e in queue(good, bad, decisions=[reject(bad, by="ann")])}
    assert (entries[good.id].agreeing, entries[good.id].voters) == (1, 1)
    assert (entries[bad.id].agreeing, entries[bad.id].voters) == (0, 1)


def test_an_entry_is_filtered_by_what_counts_now() -> None:
    now = datetime.now(UTC)
    row = some_row(corrected_label="dog", created_at=now)
    (pending,) = queue(row)
    (relabelled,) = queue(row, decisions=[accept(row, by="ann", label="neither")])
    assert Filter().matches(pending)
    assert not Filter().matches(relabelled)
    assert Filter(status=None, label="neither").matches(relabelled)
    assert not Filter(status=None, label="dog").matches(relabelled)
    assert Filter(predicted="cat", source="upload", since=now - timedelta(hours=1)).matches(pending)
    for other in (Filter(predicted="dog"), Filter(source="api"), Filter(since=now + timedelta(hours=1))):
        assert not other.matches(pending)


@pytest.mark.parametrize("count", [0, 1])
def test_few_rows_make_a_short_queue(count: int) -> None:
    rows = [some_row() for _ in range(count)]
    entries = queue(*rows)
    assert ids(entries) == [row.id for row in rows]
    assert all(entry.row.image == b"" for entry in entries)

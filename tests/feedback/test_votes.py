"""Nobody has two votes on one picture."""

from datetime import UTC, datetime, timedelta

import pytest

from catdog.errors import RateLimitedError
from feedback.journal.journal import Journal
from tests.feedback.rows import noise, some_row

PICTURE = noise()


def counting(journal: Journal) -> list[str]:
    return [row.corrected_label for row in journal.rows(newest_only=True)]


def test_the_newest_answer_of_a_client_about_a_picture_counts_alone(journal: Journal) -> None:
    for label in ("dog", "cat", "dog", "neither"):
        assert journal.append(some_row(picture=PICTURE, corrected_label=label, client="aa")).created
    assert counting(journal) == ["neither"]
    assert journal.stats().requests == 1
    assert journal.stats().rows == 4


def test_other_clients_other_pictures_and_unknown_clients_count_for_themselves(journal: Journal) -> None:
    for client in ("aa", "bb", "", ""):
        journal.append(some_row(picture=PICTURE, client=client))
    journal.append(some_row(client="aa"))
    assert len(counting(journal)) == 5


def test_taking_the_newest_answer_back_lets_the_one_before_count_again(journal: Journal) -> None:
    journal.append(some_row(picture=PICTURE, corrected_label="dog", client="aa"))
    saved = journal.append(some_row(picture=PICTURE, corrected_label="cat", client="aa"))
    assert saved.receipt is not None
    journal.delete(saved.receipt)
    assert counting(journal) == ["dog"]


def test_a_client_has_its_share_of_a_day_and_repeats_are_no_part_of_it(journal: Journal) -> None:
    yesterday = datetime.now(UTC) - timedelta(hours=25)
    journal.append(some_row(client="aa", created_at=yesterday), per_day=1)
    row = some_row(client="aa")
    saved = journal.append(row, per_day=1, idempotency_key="key")
    with pytest.raises(RateLimitedError, match="NOT saved"):
        journal.append(some_row(client="aa"), per_day=1)
    for key in (None, "key"):
        assert journal.append(row, per_day=1, idempotency_key=key).id == saved.id
    for client in ("bb", "", ""):
        journal.append(some_row(client=client), per_day=1)
    assert journal.stats().rows == 5

"""Nobody has two votes on one picture."""

from datetime import UTC, datetime, timedelta

from feedback.journal import Journal
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


def test_answers_of_a_client_are_counted_by_time(journal: Journal) -> None:
    now = datetime.now(UTC)
    for age, client in ((0, "aa"), (1, "aa"), (3, "aa"), (0, "bb"), (0, "")):
        journal.append(some_row(created_at=now - timedelta(days=age), client=client))
    assert journal.answers_since("aa", now - timedelta(days=2)) == 2
    assert journal.answers_since("", now - timedelta(days=2)) == 0

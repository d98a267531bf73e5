"""Who has a say: nobody has two votes, neither by changing an answer nor by sending a picture again.

The same rules for the journal's counts, the review queue and training.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Protocol, TypeVar


class Vote(Protocol):
    """What a row must tell to be counted among those about its picture."""

    @property
    def id(self) -> str:
        """UUIDv7: of two rows, the one with the larger id is newer."""

    @property
    def client(self) -> str:
        """Who said it; empty if nobody knows."""


class Answer(Vote, Protocol):
    """What a row must tell to be counted among all rows."""

    @property
    def request_id(self) -> str:
        """Which prediction it is about."""

    @property
    def image_sha256(self) -> str:
        """Which picture it is about, to the byte."""


AVote = TypeVar("AVote", bound=Vote)
AnAnswer = TypeVar("AnAnswer", bound=Answer)


def counting(rows: Iterable[AnAnswer]) -> dict[str, AnAnswer]:
    """The rows that count, by id: the newest of each request, and of each client and picture.

    Rows of unknown clients may be of different people: each counts.
    """
    requests = _newest(rows, lambda row: row.request_id)
    votes = _newest(requests, lambda row: (row.client, row.image_sha256) if row.client else row.id)
    return {row.id: row for row in votes}


def votes(rows: Iterable[AVote], group: Callable[[AVote], Hashable] = lambda _: None) -> list[AVote]:
    """The rows that vote on their group of near-identical pictures: of each client there, the newest.

    Rows of unknown clients may be of one person: together they have one vote.

    Args:
        rows: Such as count.
        group: The group of a row; one for all if not given.
    """
    return _newest(rows, lambda row: (group(row), row.client))


def _newest(rows: Iterable[AVote], key: Callable[[AVote], Hashable]) -> list[AVote]:
    """Of the rows with the same key, the one with the largest id."""
    found: dict[Hashable, AVote] = {}
    for row in rows:
        what = key(row)
        known = found.get(what)
        if known is None or known.id < row.id:
            found[what] = row
    return list(found.values())

"""`python -m feedback push` and `forget`: what changes the Hub."""

import argparse
import math
import sys

from catdog.cli import counted
from catdog.errors import FeedbackError, SettingsError
from catdog.settings import Settings
from feedback.hub.delivery import create_syncer
from feedback.hub.rows import Collection
from feedback.hub.sync import Round
from feedback.journal.forget import forget_rows
from feedback.journal.journal import Journal


def run_push(journal: Journal, settings: Settings) -> int:
    """Send everything that waits, now.

    Raises:
        SettingsError: no data set is set.
        HubError: the Hub cannot be reached, or refuses.
        FeedbackError: not everything could be sent.
    """
    done = create_syncer(journal, settings).sync()
    if done.locked:
        raise FeedbackError("Another process is sending at this moment. Its rows need no second one; try again later.")
    print(f"{settings.feedback_repo}: {describe(done)}", file=sys.stderr)  # noqa: T201
    if done.wait_s:
        minutes = math.ceil(done.wait_s / 60)
        raise FeedbackError(f"This hour's commits are used up. Try again in {minutes} minutes; nothing is lost.")
    return 0


def describe(done: Round) -> str:
    """What a round did, in words."""
    counts = ((done.rows, "row", "sent"), (done.decisions, "decision", "sent"), (done.removed, "row", "removed"))
    told = [f"{counted(number, what)} {how}" for number, what, how in counts if number]
    return ", ".join(told) or "nothing sent"


def add_forget_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command understands."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--id", metavar="ID", help="this row, and the other answers to the same prediction")
    which.add_argument("--client", metavar="HASH", help="all rows of a client, as the column `client` names it")
    which.add_argument("--receipt", metavar="RECEIPT", help="the row that this receipt was handed out for")


def run_forget(arguments: argparse.Namespace, journal: Journal, collection: Collection, settings: Settings) -> int:
    """Delete rows here and on the Hub, history included.

    Raises:
        SettingsError: the client is empty.
        FeedbackError: there is no such row, or it could not be deleted here.
        HubError: it is deleted here, but could not be on the Hub yet; the next sync does it.
    """
    if arguments.client == "":
        raise SettingsError("--client is empty, which would be all rows without a client. Name the client's hash.")
    count = _forget(arguments, journal, collection, settings.feedback_repo or None)
    if not count:
        raise FeedbackError("There is no such row, so nothing was deleted.")
    collection.forget_copies()
    print(f"{counted(count, 'row')} deleted here", file=sys.stderr)  # noqa: T201
    return run_push(journal, settings) if settings.feedback_repo else 0


def _forget(arguments: argparse.Namespace, journal: Journal, collection: Collection, repo_id: str | None) -> int:
    if arguments.receipt is not None:
        return int(journal.delete(arguments.receipt))
    if arguments.id is not None:
        return forget_rows(journal, collection.all_rows(), lambda row: row.id == arguments.id, repo_id=repo_id)
    return forget_rows(journal, collection.all_rows(), lambda row: row.client == arguments.client, repo_id=repo_id)

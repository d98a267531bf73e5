"""`python -m feedback`: look at the journal, and take its rows elsewhere."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from catdog.cli import run
from catdog.errors import FeedbackError
from catdog.settings import load_settings
from feedback.decisions import join, newest
from feedback.journal import JOURNAL_FILE, Journal
from feedback.report import as_json, as_text
from feedback.review import Review
from feedback.review_command import add_review_arguments, run_review
from feedback.stats import EMPTY


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run what it names."""
    parser = argparse.ArgumentParser(prog="python -m feedback", description="Look at the corrections people sent.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    stats = commands.add_parser("stats", help="count them", description="Count corrections and confirmations.")
    stats.add_argument("--format", choices=("text", "json"), default="text", help="(default: %(default)s)")
    stats.set_defaults(run=_stats)
    export = commands.add_parser(
        "export",
        help="write them as Parquet",
        description="Write the newest answer to each prediction, with its picture, to DIR/feedback.parquet, "
        "which datasets.load_dataset, pandas and the Hub's viewer open. An earlier export is replaced.",
    )
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write to")
    export.set_defaults(run=_export)
    review = commands.add_parser(
        "review",
        help="list and decide",
        description="List the rows that wait for a decision, the most useful first; accept, reject or relabel them. "
        "Every decision is recorded and can be undone.",
    )
    add_review_arguments(review)
    review.set_defaults(run=_review)
    for command in (stats, export, review):
        command.add_argument("--data-dir", type=Path, metavar="DIR", help="the journal's folder, not CATDOG_DATA_DIR")
    arguments = parser.parse_args(argv)
    code: int = arguments.run(arguments)
    return code


def _stats(arguments: argparse.Namespace) -> int:
    data_dir = _data_dir(arguments)
    stats = EMPTY
    if _has_journal(data_dir):
        with Journal.open(data_dir) as journal:
            stats = journal.stats()
    if arguments.format == "json":
        print(as_json(stats))
    else:
        print(as_text(stats) if stats.rows else f"No feedback in {data_dir} yet.")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from feedback.parquet import export  # noqa: PLC0415 - pyarrow is large, and only this command needs it

    data_dir = _data_dir(arguments)
    if not _has_journal(data_dir):
        raise _nothing(data_dir)
    with Journal.open(data_dir) as journal:
        if not journal.pending().rows:
            raise _nothing(data_dir)
        exported = export(join(journal.rows(newest_only=True), newest(journal.decisions())), arguments.out)
    print(f"{exported.rows} rows in {exported.path}", file=sys.stderr)
    if exported.damaged:
        raise FeedbackError(f"{exported.damaged} rows have damaged pictures and were left out. Check the disk.")
    return 0


def _review(arguments: argparse.Namespace) -> int:
    data_dir = _data_dir(arguments)
    if not _has_journal(data_dir):
        raise FeedbackError(f"No feedback in {data_dir} yet: there is nothing to review.")
    with Journal.open(data_dir) as journal:
        return run_review(arguments, Review(journal))


def _data_dir(arguments: argparse.Namespace) -> Path:
    data_dir: Path = arguments.data_dir or load_settings().data_dir
    return data_dir


def _has_journal(data_dir: Path) -> bool:
    return (data_dir / JOURNAL_FILE).is_file()


def _nothing(data_dir: Path) -> FeedbackError:
    return FeedbackError(f"No feedback in {data_dir} yet: nothing was exported.")


if __name__ == "__main__":
    sys.exit(run(main))

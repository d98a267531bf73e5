"""`python -m feedback`: look at the journal, and take its rows elsewhere."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from catdog.cli import add_completion, counted, run
from catdog.errors import FeedbackError, SettingsError
from catdog.settings import EMBEDDED_MODEL, Settings, load_settings
from feedback.commands.hub import add_forget_arguments, run_forget, run_push
from feedback.commands.import_rows import add_import_arguments, run_import
from feedback.commands.report import add_report_arguments, as_json, as_text
from feedback.commands.review import add_review_arguments, run_review
from feedback.hub.rows import Collection, create_collection
from feedback.journal.journal import JOURNAL_FILE, Journal
from feedback.review.review import Review
from feedback.stats import EMPTY, Stats

_SAME_COMMIT_S = 600.0
"""A command looks at one commit of the Hub from its beginning to its end."""


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run what it names."""
    parser = argparse.ArgumentParser(prog="python -m feedback", description="Look at the corrections people sent.")
    add_completion(parser, "catdog-feedback")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    stats = commands.add_parser("stats", help="count them", description="Count corrections and confirmations.")
    stats.add_argument("--format", choices=("text", "json"), default="text", help="(default: %(default)s)")
    stats.set_defaults(run=_stats)
    export = commands.add_parser(
        "export",
        help="write them as Parquet",
        description="Write the newest answer to each prediction, with its picture, to DIR/feedback.parquet, "
        "which datasets.load_dataset, pandas and the Hub's viewer open. An earlier export is replaced. With "
        "CATDOG_FEEDBACK_REPO set, the rows on the Hub are there too.",
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
    report = commands.add_parser(
        "report",
        help="where to look: kinds of picture that are systematically wrong",
        description="Group the answers into kinds of picture, say which of them the model is systematically wrong "
        "about, and how many more corrections would let the gate decide.",
    )
    add_report_arguments(report)
    report.set_defaults(run=_report)
    import_ = commands.add_parser("import", help="add what the static page exported")
    add_import_arguments(import_)
    import_.set_defaults(run=_import)
    push = commands.add_parser(
        "push",
        help="send them to the Hub now",
        description="Send the rows and decisions that only this machine has to the data set of CATDOG_FEEDBACK_REPO.",
    )
    push.set_defaults(run=_push)
    forget = commands.add_parser(
        "forget",
        help="delete rows for good",
        description="Delete rows here and on the Hub, where their shards are rewritten and the history is squashed.",
    )
    add_forget_arguments(forget)
    forget.set_defaults(run=_forget)
    for command in (stats, export, review, report, import_, push, forget):
        command.add_argument("--data-dir", type=Path, metavar="DIR", help="the journal's folder, not CATDOG_DATA_DIR")
    arguments = parser.parse_args(argv)
    code: int = arguments.run(arguments)
    return code


def _stats(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    stats = _count(settings) if _has_feedback(settings) else EMPTY
    if arguments.format == "json":
        print(as_json(stats))
    else:
        print(as_text(stats) if stats.rows else f"No feedback in {_place(settings)} yet.")
    return 0


def _count(settings: Settings) -> Stats:
    with Journal.open_to_read(settings.data_dir) as journal:
        if not settings.feedback_repo:
            return journal.stats()
        collection = create_collection(journal, settings, max_age_s=_SAME_COMMIT_S, alone=True)
        stats = collection.stats()
    _tell(collection)
    return stats


def _export(arguments: argparse.Namespace) -> int:
    from feedback.hub.parquet import export  # noqa: PLC0415 - pyarrow is large, and only this command needs it

    settings = _settings(arguments)
    if not _has_feedback(settings):
        raise _nothing(settings)
    with Journal.open_to_read(settings.data_dir) as journal:
        collection = create_collection(journal, settings, max_age_s=_SAME_COMMIT_S)
        if not any(True for _ in collection.all_rows()):
            raise _nothing(settings)
        exported = export(collection.reviewed(), arguments.out)
    print(f"{counted(exported.rows, 'row')} in {exported.path}", file=sys.stderr)
    if exported.damaged:
        raise FeedbackError(f"{exported.damaged} rows have damaged pictures and were left out. Check the disk.")
    return 0


def _review(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    if not _has_feedback(settings):
        raise FeedbackError(f"No feedback in {_place(settings)} yet: there is nothing to review.")
    with Journal.open_to_read(settings.data_dir) as journal:
        collection = create_collection(journal, settings, max_age_s=_SAME_COMMIT_S, alone=True)
        load = partial(collection.reviewed, pictures=False)
        code = run_review(arguments, Review(journal, load=load, picture=collection.picture))
    _tell(collection)
    return code


def _report(arguments: argparse.Namespace) -> int:
    from catdog.hub.models import find_folder  # noqa: PLC0415 - ONNX Runtime, which only this command needs
    from catdog.model.model import Model  # noqa: PLC0415
    from feedback.commands.kinds import run_report  # noqa: PLC0415

    settings = _settings(arguments)
    if not _has_feedback(settings):
        raise FeedbackError(f"No feedback in {_place(settings)} yet: there is nothing to report.")
    model = Model.load(arguments.model or find_folder(settings.model) or EMBEDDED_MODEL)
    with Journal.open(settings.data_dir) as journal:
        collection = create_collection(journal, settings, max_age_s=_SAME_COMMIT_S, alone=True)
        code = run_report(arguments, list(collection.reviewed()), model)
    _tell(collection)
    return code


def _import(arguments: argparse.Namespace) -> int:
    with Journal.open(_settings(arguments).data_dir) as journal:
        return run_import(arguments.file, journal)


def _push(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    with Journal.open(settings.data_dir) as journal:
        return run_push(journal, settings)


def _forget(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    if not _has_feedback(settings):
        raise FeedbackError(f"No feedback in {_place(settings)} yet: there is nothing to delete.")
    with Journal.open(settings.data_dir) as journal:
        return run_forget(arguments, journal, create_collection(journal, settings, max_age_s=_SAME_COMMIT_S), settings)


def _settings(arguments: argparse.Namespace) -> Settings:
    settings = load_settings()
    return settings.model_copy(update={"data_dir": arguments.data_dir}) if arguments.data_dir else settings


def _has_feedback(settings: Settings) -> bool:
    """Whether there can be any: a command that only looks makes no journal where there is none, nor a data set."""
    try:
        return bool(settings.feedback_repo) or (settings.data_dir / JOURNAL_FILE).is_file()
    except OSError as error:
        raise SettingsError(f"{settings.data_dir} can't be read: {error.strerror}.") from None


def _tell(collection: Collection) -> None:
    """Say what may have been missing."""
    if collection.problem:
        print(f"What only the Hub has may be missing here. {collection.problem}", file=sys.stderr)


def _place(settings: Settings) -> str:
    return f"{settings.data_dir} and {settings.feedback_repo}" if settings.feedback_repo else str(settings.data_dir)


def _nothing(settings: Settings) -> FeedbackError:
    return FeedbackError(f"No feedback in {_place(settings)} yet: nothing was exported.")


if __name__ == "__main__":
    sys.exit(run(main))

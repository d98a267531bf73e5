"""`python -m feedback review`: list what waits for a decision, and decide."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catdog.errors import SettingsError
from feedback.commands.report import review_order, table
from feedback.decision import Status
from feedback.review.checks import model_objects, own_model_objects
from feedback.review.order import Entry, Filter
from feedback.review.review import Action, Choice, Review, choose_agreed, count
from feedback.row import Source

_ANY = "any"


def add_review_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command understands."""
    show = parser.add_argument_group("what to list")
    show.add_argument("--status", choices=(*Status, _ANY), default=Status.PENDING.value, help="(default: %(default)s)")
    show.add_argument("--label", help="the label that counts: the maintainer's, else the person's")
    show.add_argument("--predicted", metavar="LABEL", help="what the model said")
    show.add_argument("--source", choices=tuple(Source), help="how the picture came")
    show.add_argument("--since", type=_time, metavar="DATE", help="rows made then or later, as 2026-01-31")
    show.add_argument("--audit", action="store_true", help="only the random sample that measures accuracy")
    show.add_argument(
        "--report", type=Path, metavar="DIR", help="first the rows that `feedback report --out DIR` wants"
    )
    show.add_argument("--limit", type=int, metavar="N", help="the first N; useful ones come first")
    show.add_argument("--format", choices=("text", "json"), default="text", help="(default: %(default)s)")
    decide = parser.add_argument_group("what to decide", "Any of these, all recorded in one step or not at all.")
    decide.add_argument("--accept", nargs="+", default=[], metavar="ID", help="learn from these rows")
    decide.add_argument("--reject", nargs="+", default=[], metavar="ID", help="do not")
    decide.add_argument("--relabel", nargs="+", default=[], metavar="ID=LABEL", help="accept with another label")
    decide.add_argument("--undo", nargs="+", default=[], metavar="ID", help="make them pending again")
    decide.add_argument("--by", metavar="NAME", help="who decides; must be given")
    decide.add_argument("--reason", default="", metavar="TEXT", help="why; kept with each decision")
    auto = parser.add_argument_group("deciding without a look")
    auto.add_argument(
        "--auto",
        type=int,
        metavar="N",
        help="of the rows listed, accept those where at least N clients agree, nobody disagrees, and a model does not "
        "object; clients are told apart by network address, so N is not proof of N people",
    )
    auto.add_argument("--model", type=Path, metavar="DIR", help="the model to ask; the one that predicted if not given")
    auto.add_argument(
        "--min-probability",
        type=float,
        default=0.05,
        metavar="P",
        help="a model objects to a label that it gives less than P (default: %(default)s)",
    )


def run_review(arguments: argparse.Namespace, review: Review) -> int:
    """Decide what was asked for; where nothing was, list.

    Raises:
        SettingsError: the arguments contradict each other, or a number makes no sense.
        ModelError: `--model` names no model that works.
        FeedbackError: a row or label is unknown, or nothing was recorded.
    """
    if arguments.limit is not None and arguments.limit < 0:
        raise SettingsError("--limit takes a number of rows, 0 or more.")
    choices = [*_choices(arguments), *(_agreed(arguments, review) if arguments.auto is not None else [])]
    _check(arguments, choices)
    if choices:
        review.decide(choices, by=arguments.by, reason=arguments.reason)
    if choices or arguments.auto is not None:
        print(_done(choices), file=sys.stderr)  # noqa: T201
        return 0
    entries = _ordered(review.queue(), arguments.report)
    shown = [entry for entry in entries if _filter(arguments).matches(entry)][: arguments.limit]
    print(_as_json(shown) if arguments.format == "json" else _as_text(shown, entries))  # noqa: T201
    return 0


def _ordered(entries: list[Entry], report: Path | None) -> list[Entry]:
    """First the rows that a report wants, then the others in their order."""
    if report is None:
        return entries
    ranks = {row_id: rank for rank, row_id in enumerate(review_order(report))}
    return sorted(entries, key=lambda entry: ranks.get(entry.row.id, len(ranks)))


def _choices(arguments: argparse.Namespace) -> Iterator[Choice]:
    for action, row_ids in ((Action.ACCEPT, arguments.accept), (Action.REJECT, arguments.reject),
                            (Action.UNDO, arguments.undo)):  # fmt: skip
        yield from (Choice(row_id, action) for row_id in row_ids)
    for named in arguments.relabel:
        row_id, separator, label = named.partition("=")
        if not separator or not label:
            raise SettingsError(f"--relabel {named} names no label. Write ID=LABEL.")
        yield Choice(row_id, Action.ACCEPT, label)


def _agreed(arguments: argparse.Namespace, review: Review) -> list[Choice]:
    if arguments.auto < 1:
        raise SettingsError("--auto takes the number of clients that must agree, at least 1.")
    if not 0 <= arguments.min_probability <= 1:
        raise SettingsError("--min-probability takes a probability, from 0 to 1.")
    if arguments.model:
        objects = model_objects(arguments.model, review.picture, min_probability=arguments.min_probability)
    else:
        objects = own_model_objects(min_probability=arguments.min_probability)
    listed = filter(_filter(arguments).matches, review.queue())
    return choose_agreed(listed, clients=arguments.auto, objects=objects)[: arguments.limit]


def _check(arguments: argparse.Namespace, choices: Sequence[Choice]) -> None:
    if (choices or arguments.auto is not None) and not arguments.by:
        raise SettingsError("Every decision is recorded with who made it. Add --by NAME.")
    row_ids = [choice.row_id for choice in choices]
    if twice := {row_id for row_id in row_ids if row_ids.count(row_id) > 1}:
        raise SettingsError(f"Named more than once: {', '.join(sorted(twice))}. Decide one thing about each row.")


def _filter(arguments: argparse.Namespace) -> Filter:
    return Filter(
        status=None if arguments.status == _ANY else Status(arguments.status),
        label=arguments.label,
        predicted=arguments.predicted,
        source=arguments.source,
        since=arguments.since,
        audit=arguments.audit,
    )


def _done(choices: Sequence[Choice]) -> str:
    words = {Action.ACCEPT: "accepted", Action.REJECT: "rejected", Action.UNDO: "pending again"}
    counts = [(sum(choice.action is action for choice in choices), word) for action, word in words.items()]
    return ", ".join(f"{number} {word}" for number, word in counts if number) or "Nothing to accept."


def _as_json(entries: Sequence[Entry]) -> str:
    return json.dumps([_record(entry) for entry in entries], indent=2)


def _record(entry: Entry) -> dict[str, Any]:
    row, decision = entry.row, entry.reviewed.decision
    return {
        "id": row.id,
        "request_id": row.request_id,
        "created_at": row.created_at.isoformat(),
        "status": entry.reviewed.status.value,
        "label": entry.reviewed.label,
        "corrected_label": row.corrected_label,
        "predicted_label": row.predicted_label,
        "confidence": max(row.probabilities),
        "verdict": row.verdict,
        "model_revision": row.model_revision,
        "source": row.source.value,
        "group": entry.group,
        "agreeing": entry.agreeing,
        "voters": entry.voters,
        "score": round(entry.signals.score, 4),
        "decided": decision and {"by": decision.by, "at": decision.at.isoformat(), "reason": decision.reason},
    }


def _as_text(shown: Sequence[Entry], entries: Sequence[Entry]) -> str:
    counts = ", ".join(f"{number} {status}" for status, number in count(entries).items())
    if not shown:
        return f"Nothing to list ({counts})."
    lines = [["id", "status", "model said", "person says", "counts as", "agree", "source", "made at (UTC)", "score"]]
    return "\n".join([*table([*lines, *map(_line, shown)]), f"{len(shown)} listed; {counts}"])


def _line(entry: Entry) -> list[str]:
    row = entry.row
    return [
        row.id,
        entry.reviewed.status,
        f"{row.predicted_label} {max(row.probabilities):.3f}",
        row.corrected_label,
        entry.reviewed.label,
        f"{entry.agreeing}/{entry.voters}",
        row.source,
        f"{row.created_at:%Y-%m-%d %H:%M}",
        f"{entry.signals.score:.2f}",
    ]


def _time(given: str) -> datetime:
    time = datetime.fromisoformat(given)
    return time if time.tzinfo else time.replace(tzinfo=UTC)

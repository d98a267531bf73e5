"""`python -m feedback report`: kinds of picture among the answers, as text, as JSON, and as tables and a page."""

import argparse
import base64
import csv
import html
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Any

from catdog.cli import counted
from catdog.errors import FeedbackError, SettingsError
from catdog.files import write_atomically
from catdog.images.decode import decode_image, to_jpeg
from catdog.model.model import Model
from feedback.commands.report import ORDER_FILE, table
from feedback.review.kinds import ALL, Answered, Kind, KindReport, Point, find_kinds, look_at
from feedback.review.needed import wilson

_SIDE = 160
_SHOWN = 24


def run_report(arguments: argparse.Namespace, rows: Sequence[Any], model: Model) -> int:
    """Find the kinds, and show them.

    Raises:
        SettingsError: `--limit` or `--out` cannot be used.
        FeedbackError: there is nothing to look at.
    """
    if arguments.limit < 1:
        raise SettingsError("--limit takes a number of rows, at least 1.")
    report = find_kinds(look_at(sorted(rows, key=lambda each: each.row.id)[-arguments.limit :], model))
    if not report.kinds:
        raise FeedbackError("There is no row with a readable picture that was not rejected: nothing to report.")
    if arguments.out:
        _write(arguments.out, report)
    print(_as_json(report) if arguments.format == "json" else _as_text(report))  # noqa: T201
    if arguments.out:
        print(f"{arguments.out / 'index.html'} shows the pictures.", file=sys.stderr)  # noqa: T201
    return 0


def _as_text(report: KindReport) -> str:
    lines = [["kind", "answers", "corrections", f"in the {report.reference}", "p", "", "still needed"]]
    lines += [_line(each) for each in report.kinds]
    return "\n".join([_summary(report), "", *table(lines), "", *_shadows(report), *_regressions(report.curve)]).rstrip()


def _summary(report: KindReport) -> str:
    wrong, n = report.error_rate
    low, high = wilson(wrong, n)
    rate = (
        f"The random sample: {wrong} of {n} wrong ({low:.1%} to {high:.1%})."
        if n
        else "There is no labelled random sample (CATDOG_AUDIT_SHARE), so kinds are compared with confirmations."
    )
    found = [each.name for each in report.kinds if each.systematic]
    verdict = f"Systematic mistakes: {', '.join(found)}." if found else "No kind is systematically wrong."
    unsure = f" {counted(report.unsure, 'answer')} with no label teach nothing." if report.unsure else ""
    return f"{verdict} {rate}{unsure}"


def _line(kind: Kind) -> list[str]:
    reference = f"{kind.reference} of {kind.reference_n}"
    if kind.error_rate is not None:
        reference += f", {kind.error_rate:.0%} wrong ({kind.low:.0%} to {kind.high:.0%})"
    needed = (f"{kind.more_needed} more corrections" if kind.more_needed else "enough") if kind.systematic else "-"
    return [kind.name, str(kind.answers), str(kind.corrections), reference, f"{kind.p:.2g}",
            "systematic" if kind.systematic else "", needed]  # fmt: skip


def _shadows(report: KindReport) -> list[str]:
    return [
        f"In shadow, {each.revision[:12]} disagreed with the live model about "
        f"{counted(each.answers, 'answered picture')}: it was right about "
        f"{each.challenger_right}, the live model about {each.model_right} (p = {each.p:.2g})."
        for each in report.shadow
    ]


def _regressions(curve: Iterable[Point]) -> list[str]:
    return [
        f"Revision {each.revision[:12]} is worse at {'all pictures' if each.kind == ALL else each.kind} than the one "
        f"before: {each.wrong} of {counted(each.answers, 'answer')} wrong ({each.low:.0%} to {each.high:.0%})."
        for each in curve
        if each.regressed
    ]


def _as_json(report: KindReport) -> str:
    wrong, n = report.error_rate
    return json.dumps(
        {
            "kinds": [asdict(each) for each in report.kinds],
            "curve": [asdict(each) for each in report.curve],
            "reference": report.reference,
            "unsure": report.unsure,
            "shadow": [asdict(each) for each in report.shadow],
            "sample": {"wrong": wrong, "n": n},
            "review_first": report.order(),
        },
        indent=2,
    )


def _write(folder: Path, report: KindReport) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "kinds.csv", _csv(Kind, report.kinds))
        write_atomically(folder / "curve.csv", _csv(Point, report.curve))
        write_atomically(folder / ORDER_FILE, _order(report))
        write_atomically(folder / "index.html", _page(report).encode())
    except OSError as error:
        raise SettingsError(f"--out {folder} cannot be written: {error.strerror}.") from None


def _csv(kind: type[Any], values: Iterable[Any]) -> bytes:
    return _lines([[field.name for field in fields(kind)], *(list(astuple(each)) for each in values)])


def _order(report: KindReport) -> bytes:
    kinds: Mapping[str, list[str]] = {}
    for name, members in report.members.items():
        for each in members:
            kinds.setdefault(each.row_id, []).append(name)  # type: ignore[attr-defined]
    return _lines([["row_id", "kinds"], *([row_id, "; ".join(kinds.get(row_id, []))] for row_id in report.order())])


def _lines(lines: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue().encode()


def _page(report: KindReport) -> str:
    sections = "\n".join(_section(each, report.members[each.name]) for each in report.kinds)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Kinds of picture</title>'
        "<style>body{font:15px/1.4 sans-serif;margin:2em;max-width:80em}figure{display:inline-block;margin:4px;"
        "width:160px;vertical-align:top;font-size:12px}img{max-width:160px;max-height:160px}"
        "pre{overflow:auto}</style>"
        f"<h1>Kinds of picture</h1><pre>{html.escape(_as_text(report))}</pre>{sections}"
    )


def _section(kind: Kind, members: Sequence[Answered]) -> str:
    wrong_first = sorted(members, key=lambda each: (not each.is_wrong, each.row_id))[:_SHOWN]
    title = f"{kind.name}: {counted(kind.corrections, 'correction')} among {counted(kind.answers, 'answer')}"
    figures = "\n".join(_figure(each) for each in wrong_first)
    return f"<h2>{html.escape(title)}{' (systematic)' if kind.systematic else ''}</h2>{figures}"


def _figure(each: Answered) -> str:
    picture = decode_image(each.image)
    picture.thumbnail((_SIDE, _SIDE))
    data = base64.b64encode(to_jpeg(picture)).decode()
    said = f"{each.label}, predicted {each.predicted}" if each.is_labelled else f"predicted {each.predicted}"
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" alt="">'
        f"<figcaption>{html.escape(said)}<br>{html.escape(each.row_id)}</figcaption></figure>"
    )

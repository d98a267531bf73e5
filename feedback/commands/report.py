"""What the journal holds, for people and for programs: its counts, and the options of `feedback report`."""

import argparse
import csv
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from catdog.cli import counted, printable
from catdog.errors import SettingsError
from feedback.stats import Stats

ORDER_FILE = "rows.csv"
"""In the report's folder: which rows to review, the most useful first."""


def as_json(stats: Stats) -> str:
    """The counts as a JSON object."""
    return json.dumps(
        {
            "rows": stats.rows,
            "requests": stats.requests,
            "corrections": stats.corrections,
            "confirmations": stats.confirmations,
            "first_at": stats.first_at.isoformat() if stats.first_at else None,
            "last_at": stats.last_at.isoformat() if stats.last_at else None,
            "answers": [asdict(answer) for answer in stats.answers],
        },
        indent=2,
    )


def as_text(stats: Stats) -> str:
    """The counts as a few lines: totals, predicted against corrected label, and per model revision."""
    return "\n".join([_totals(stats), "", *_by_label(stats), "", *_by_revision(stats)])


def _totals(stats: Stats) -> str:
    counts = f"{counted(stats.corrections, 'correction')}, {counted(stats.confirmations, 'confirmation')}"
    span = f"{stats.first_at:%Y-%m-%d %H:%M} to {stats.last_at:%Y-%m-%d %H:%M} UTC"
    answered = f"{counted(stats.requests, 'answered prediction')} ({counted(stats.rows, 'row')})"
    return f"{answered}: {counts}\nfrom {span}"


def _by_label(stats: Stats) -> list[str]:
    """A table with a line per predicted label and a column per corrected label."""
    counts: Counter[tuple[str, str]] = Counter()
    for answer in stats.answers:
        counts[answer.predicted_label, answer.corrected_label] += answer.requests
    corrected = sorted({label for _, label in counts})
    lines = [
        [predicted, *(str(counts[predicted, label]) for label in corrected)]
        for predicted in sorted({label for label, _ in counts})
    ]
    return table([["predicted \\ person says", *corrected], *lines])


def _by_revision(stats: Stats) -> list[str]:
    counts: Counter[tuple[str, str, bool]] = Counter()
    for answer in stats.answers:
        counts[answer.model_id, answer.model_revision, answer.is_confirmation] += answer.requests
    models = sorted({(model, revision) for model, revision, _ in counts})
    lines = [[*model, str(counts[*model, False]), str(counts[*model, True])] for model in models]
    return table([["model", "revision", "corrections", "confirmations"], *lines])


def table(lines: list[list[str]]) -> list[str]:
    """Lines of cells as lines of text with aligned columns; control characters are escaped, since cells hold data."""
    lines = [[printable(cell) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command understands."""
    add = parser.add_argument
    add("--model", type=Path, metavar="DIR", help="the model whose features group the pictures (default: CATDOG_MODEL, "
        "where that is a folder, else the embedded one)")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="also write kinds.csv, curve.csv, rows.csv (which rows to review "
        "first) and index.html, which holds pictures")  # fmt: skip
    add("--limit", type=int, default=2000, metavar="N", help="only the newest N rows (default: %(default)s)")
    add("--format", choices=("text", "json"), default="text", help="(default: %(default)s)")


def review_order(folder: Path) -> list[str]:
    """The row ids that a report puts first.

    Raises:
        SettingsError: the folder holds no report.
    """
    try:
        with (folder / ORDER_FILE).open(encoding="utf-8", newline="") as file:
            return [record["row_id"] for record in csv.DictReader(file)]
    except (OSError, KeyError, ValueError) as error:
        raise SettingsError(
            f"--report {folder} holds no {ORDER_FILE} ({type(error).__name__}). Make it with "
            "`python -m feedback report --out DIR`."
        ) from None

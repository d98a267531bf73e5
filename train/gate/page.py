"""The gate's report as a page to look at: the rules, and the pictures that the challenger won and lost.

It holds people's pictures, so it lies beside the model folder and is never published.
"""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from catdog.images.decode import decode_image, to_jpeg
from train.evaluation.gallery import page, write_page
from train.gate.evidence import Answers
from train.gate.history import History, keep_look, write_history
from train.gate.report import GateReport, Picture

_SIDE = 220
_MOST = 120
_SECTIONS = (
    ("won", "Won: only the challenger is right"),
    ("lost", "Lost: only the champion is right"),
    ("twin", "Only the twin, which never saw the feedback, differs from the champion"),
)


def page_of(run: Path) -> Path:
    """Where the page of a challenger's folder lies."""
    return run.with_name(f"{run.name}-gate.html")


def keep_verdict(run: Path, report: GateReport, answers: Answers, labels: Sequence[str], history: History) -> None:
    """Write the page, and note the look in the challenger's folder and beside it.

    Args:
        run: The challenger's finished folder.
        report: What the gate found.
        answers: What it was found by.
        labels: Of the models.
        history: The looks before this one.
    """
    write_gate_page(page_of(run), report, answers, labels)
    if report.look:
        write_history(run, history.plus(report.look))
        keep_look(report.look, run.parent)


def write_gate_page(path: Path, report: GateReport, answers: Answers, labels: Sequence[str]) -> None:
    """Write the page.

    Args:
        path: See `page_of`.
        report: What the gate found.
        answers: Whose pictures it names.
        labels: Of the models.
    """
    images = dict(zip(answers.row_ids, answers.images, strict=False))
    sections = (_section(title, report, outcome, images, labels) for outcome, title in _SECTIONS)
    title = "The gate accepted the challenger" if report.accepted else "The gate refused the challenger"
    write_page(path, page(title, _checks(report), _notes(report), _slices(report), *sections))


def _checks(report: GateReport) -> str:
    rows = (
        f"<tr><td>{html.escape(each.name)}</td><td>{'passed' if each.passed else '<b>failed</b>'}</td>"
        f'<td style="text-align:left">{html.escape(each.finding)}</td></tr>'
        for each in report.checks
    )
    return f"<table><tr><th>rule</th><th></th><th>finding</th></tr>{''.join(rows)}</table>"


def _notes(report: GateReport) -> str:
    return "".join(f"<p>{html.escape(note)}</p>" for note in report.notes)


def _slices(report: GateReport) -> str:
    rows = (
        f"<tr><td>{html.escape(each.name)}</td><td>{each.n}</td><td>{_points(each.difference)}</td></tr>"
        for each in report.slices
    )
    return (
        f"<h2>Test pictures by kind</h2><table><tr><th>kind</th><th>n</th><th>points</th></tr>{''.join(rows)}</table>"
    )


def _section(
    title: str, report: GateReport, outcome: str, images: dict[tuple[str, ...], bytes], labels: Sequence[str]
) -> str:
    pictures = [each for each in report.pictures if each.outcome == outcome]
    figures = _figures(pictures[:_MOST], images, labels)
    more = f"<p>The first {_MOST}.</p>" if len(pictures) > _MOST else ""
    return f"<h2>{html.escape(title)} ({len(pictures)})</h2>{more}<main>{figures}</main>"


def _figures(pictures: Sequence[Picture], images: dict[tuple[str, ...], bytes], labels: Sequence[str]) -> str:
    return "\n".join(
        f"<figure>{_image(images.get(each.row_ids))}"
        f"<figcaption>{html.escape(_caption(each, labels))}</figcaption></figure>"
        for each in pictures
    )


def _caption(each: Picture, labels: Sequence[str]) -> str:
    return (
        f"{labels[each.label]} ({each.asked}): champion {each.champion:.0%}, challenger {each.challenger:.0%}, twin "
        f"{each.twin:.0%}; row {each.row_ids[0]}"
    )


def _image(data: bytes | None) -> str:
    if data is None:
        return ""
    picture = decode_image(data)
    picture.thumbnail((_SIDE, _SIDE))
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(to_jpeg(picture)).decode()}" alt="">'


def _points(difference: float | None) -> str:
    return "-" if difference is None else f"{100 * difference:+.2f}"

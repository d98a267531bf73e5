"""Predictions on stdout: a table for people, JSON and CSV for programs."""

import csv
import json
from collections.abc import Iterable
from typing import IO, Any, Literal

from catdog.batch.classify import Result
from catdog.cli import printable
from catdog.model.metadata import possible_verdicts
from catdog.model.model import Prediction

Format = Literal["table", "json", "csv"]
FORMATS: tuple[Format, ...] = ("table", "json", "csv")

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_results(results: Iterable[Result], labels: tuple[str, ...], *, format_: Format, out: IO[str]) -> None:
    """Write results as they come.

    `json` is one array with an object a line: `path` with `label`, `verdict`, `confidence` and `probabilities`, or with
    `error` and `detail`. `csv` has the same columns, with one for each label's probability.
    """
    {"table": _write_table, "json": _write_json, "csv": _write_csv}[format_](results, labels, out)


def _write_table(results: Iterable[Result], labels: tuple[str, ...], out: IO[str]) -> None:
    width = max(map(len, possible_verdicts(labels)))
    for result in results:
        match result.outcome:
            case Prediction() as prediction:
                out.write(
                    f"{prediction.verdict:<{width}}  {_percent(prediction.confidence):>7}  {printable(result.name)}\n"
                )
            case error:
                out.write(f"{'-':<{width}}  {'-':>7}  {printable(f'{result.name}: {error}')}\n")


def _percent(confidence: float) -> str:
    """A confidence as `99.9%`; only certainty is `100.0%`."""
    return "> 99.9%" if round(confidence, 3) >= 1 > confidence else f"{confidence:.1%}"


def _write_json(results: Iterable[Result], _labels: tuple[str, ...], out: IO[str]) -> None:
    separator = "[\n"
    for result in results:
        out.write(f"{separator}{json.dumps(_record(result), ensure_ascii=False)}")
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")


def _write_csv(results: Iterable[Result], labels: tuple[str, ...], out: IO[str]) -> None:
    columns = ["path", "label", "verdict", "confidence", *labels, "error", "detail"]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_no_formula, columns))
    for result in results:
        record = _record(result)
        path = _no_formula_path(record.pop("path"))
        cells = {"path": path, **record, **record.pop("probabilities", {})}
        writer.writerow(_no_formula(cells.get(column, "")) for column in columns)


def _record(result: Result) -> dict[str, Any]:
    match result.outcome:
        case Prediction() as prediction:
            return {
                "path": result.name,
                "label": prediction.label,
                "verdict": prediction.verdict,
                "confidence": prediction.confidence,
                "probabilities": dict(zip(prediction.labels, prediction.probabilities, strict=True)),
            }
        case error:
            return {"path": result.name, "error": error.code, "detail": str(error)}


def _no_formula(cell: Any) -> Any:
    """What a spreadsheet does not take for a formula; a model's labels are whatever its makers wrote."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


def _no_formula_path(path: str) -> str:
    """The same path, written so that a spreadsheet does not take a file name for a formula."""
    return f"./{path}" if path.startswith(_FORMULA_STARTS) else path

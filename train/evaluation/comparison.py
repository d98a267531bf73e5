"""Several models side by side in one table: what each step of effort gains, and what it costs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from train.metrics import Interval, Metrics


@dataclass(frozen=True, slots=True)
class Contender:
    """One model, scored on the same pictures as the others."""

    name: str
    n: int
    accuracy: float
    interval: Interval
    """95%, Wilson's."""
    auc: float | None
    log_loss: float
    size_bytes: int
    """Of the weights as they are served."""
    fit_cpu_s: float | None
    """From encoded pictures to the fitted model, on all cores together; None if it cannot be told."""
    predict_cpu_ms: float
    """From a decoded picture to its probabilities."""


def contender(
    name: str, metrics: Metrics, *, size_bytes: int, fit_cpu_s: float | None, predict_cpu_ms: float
) -> Contender:
    """A row of the table."""
    return Contender(
        name=name,
        n=metrics.n,
        accuracy=metrics.accuracy,
        interval=metrics.intervals["accuracy"],
        auc=metrics.auc,
        log_loss=metrics.log_loss,
        size_bytes=size_bytes,
        fit_cpu_s=fit_cpu_s,
        predict_cpu_ms=predict_cpu_ms,
    )


def compare(contenders: Sequence[Contender]) -> list[dict[str, Any]]:
    """For JSON: each row with its CPU times relative to the first's, and what it gains over the row above."""
    first = contenders[0]
    return [
        {
            **asdict(each),
            "fit_relative": _ratio(each.fit_cpu_s, first.fit_cpu_s),
            "predict_relative": _ratio(each.predict_cpu_ms, first.predict_cpu_ms),
            "accuracy_gain": None if above is None else each.accuracy - above.accuracy,
            "log_loss_gain": None if above is None else above.log_loss - each.log_loss,
        }
        for above, each in zip((None, *contenders[:-1]), contenders, strict=True)
    ]


COLUMNS = ("", "accuracy (95% interval)", "gain", "AUC", "log loss", "size", "CPU to train", "CPU per picture")


def as_cells(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The rows of `compare` as text, one cell for each of `COLUMNS`."""
    return [
        (
            row["name"],
            f"{row['accuracy']:.2%} ({row['interval'][0]:.2%} to {row['interval'][1]:.2%})",
            "" if row["accuracy_gain"] is None else f"{100 * row['accuracy_gain']:+.2f}",
            "-" if row["auc"] is None else f"{row['auc']:.4f}",
            f"{row['log_loss']:.4f}",
            f"{row['size_bytes'] / 1e6:.2f} MB",
            _times(row["fit_relative"]),
            _times(row["predict_relative"]),
        )
        for row in rows
    ]


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table of `compare`'s rows."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *as_cells(rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _ratio(value: float | None, first: float | None) -> float | None:
    return None if value is None or not first else value / first


def _times(ratio: float | None) -> str:
    """With three significant digits at most."""
    if ratio is None:
        return "-"
    return f"{ratio:.2f} x" if ratio < 10 else f"{ratio:,.0f} x"  # noqa: PLR2004

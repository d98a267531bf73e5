"""The gate's report: why a challenger was accepted or refused, for people and programs, and the file that keeps it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from catdog.errors import ModelError
from train.gate.evidence import Asked
from train.gate.history import Look

GATE_FILE = "gate.json"

_SHOWN_SLICES = 20


class Check(BaseModel):
    """One rule and what became of it."""

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    finding: str
    """In words, with the numbers."""


class Slice(BaseModel):
    """How one kind of picture fared."""

    model_config = ConfigDict(frozen=True)

    name: str
    n: int
    difference: float | None
    """Of accuracy, challenger minus champion; None of no pictures."""
    judged: bool
    accuracy: float | None = None
    """The challenger's."""


class Picture(BaseModel):
    """An answer about which the models differ, with the probability that each gives to the true label."""

    model_config = ConfigDict(frozen=True)

    row_ids: tuple[str, ...]
    label: int
    asked: Asked
    champion: float
    challenger: float
    twin: float
    outcome: str
    """`won`: only the challenger is right, `lost`: only the champion is, `twin`: the twin alone differs from it."""


class GateReport(BaseModel):
    """Why a challenger was accepted or refused."""

    model_config = ConfigDict(frozen=True)

    accepted: bool
    checks: tuple[Check, ...]
    slices: tuple[Slice, ...]
    numbers: dict[str, float | int | None]
    """Accuracy, log loss, ECE and latency of the models, counts of answers, and the statistics."""
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()
    """What could not be judged, or only roughly."""
    look: Look | None = None
    """For the history of the gate."""

    @property
    def reasons(self) -> list[str]:
        """Why it was refused; empty if it was not."""
        return [check.finding for check in self.checks if not check.passed]

    def as_text(self) -> str:
        """For people: a line a rule, then the slices."""
        lines = [f"{'passed' if check.passed else 'FAILED'}  {check.name}: {check.finding}" for check in self.checks]
        lines += [f"note    {note}" for note in self.notes]
        lines += ["", "slice                 n   difference"]
        lines += [_slice_line(each) for each in self.slices[:_SHOWN_SLICES]]
        return "\n".join(["accepted" if self.accepted else "REFUSED", *lines])


def read_report(path: Path) -> GateReport:
    """Read `gate.json`.

    Raises:
        ModelError: it is missing or damaged.
    """
    try:
        return GateReport.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(f"{path} is not a gate report ({type(error).__name__}). Retrain the model.") from None


def write_report(path: Path, report: GateReport) -> None:
    """Write `gate.json`."""
    path.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _slice_line(each: Slice) -> str:
    difference = "-" if each.difference is None else points(each.difference)
    return f"{each.name:<16} {each.n:>6}   {difference}{'' if each.judged else '  (too few to judge)'}"


def points(share: float) -> str:
    """A difference of shares in percentage points."""
    return f"{100 * share:+.2f} points"

"""The gate's earlier looks, and how much chance of error the next one may spend.

Whoever asks again and again is told yes in the end, by chance. So the chance of accepting a model that is no better is
spent like money: 3% to begin with, another 2% over a year, a third of what is left in each look (alpha spending; Foster
and Stine 2008, "Alpha-investing"). However often the gate is asked in a year, all looks together accept at most 5%. A
challenger that was accepted earns the initial budget again: the new champion is a new question.

The looks are kept in `gate_history.json`: in the repository, on `main` and, after a refusal, on the branch `refused`;
in each challenger's folder; and beside these folders, for models that are on no hub.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from catdog.errors import ModelError

HISTORY_FILE = "gate_history.json"
BUDGET = 0.03
"""Of the first year's 5%, what is there to begin with; the rest comes with time."""
REFILL_PER_DAY = 0.02 / 365
PART = 1 / 3
"""Which part of what is left one look spends."""


class Look(BaseModel):
    """One time that the gate was asked."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: AwareDatetime
    champion: str
    """Revision of the model that was to be replaced."""
    answers: int
    p: float
    level: float
    """What this look spent: p had to be below."""
    accepted: bool
    accuracy: dict[str, float] = {}
    """The challenger's, on all test pictures and on kinds of them: with those of other looks, a learning curve."""


class History(BaseModel):
    """All looks, oldest first."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    looks: tuple[Look, ...] = ()

    def budget(self, now: datetime) -> float:
        """What may be spent in all at this time."""
        left, before = BUDGET, None
        for look in self.looks:
            left = _refilled(left, before, look.at) - look.level
            left, before = (BUDGET if look.accepted else max(left, 0.0)), look.at
        return _refilled(left, before, now)

    def level(self, now: datetime) -> float:
        """What one look at this time spends: the p-value has to be below it."""
        return PART * self.budget(now)

    def plus(self, look: Look) -> "History":
        """With one more look."""
        return merged([self, History(looks=(look,))])

    def as_json(self) -> bytes:
        """The content of `gate_history.json`."""
        return json.dumps(self.model_dump(mode="json"), indent=2).encode() + b"\n"


def merged(histories: Iterable[History]) -> History:
    """Looks from several places, each once, in order of time."""
    looks = {(look.at, look.champion): look for history in histories for look in history.looks}
    return History(looks=tuple(looks[key] for key in sorted(looks)))


def parse_history(content: bytes | None, *, place: str = HISTORY_FILE) -> History:
    """Read `gate_history.json`; without such a file, nobody has looked yet.

    Raises:
        ModelError: it is damaged. To ignore it would forget what was spent.
    """
    if content is None:
        return History()
    try:
        return History.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise ModelError(f"{place} is damaged: {problem}. Restore it from an earlier revision, or delete it.") from None


def read_history(folder: Path) -> History:
    """The looks that a model folder knows of.

    Raises:
        ModelError: see `parse_history`.
    """
    path = folder / HISTORY_FILE
    return parse_history(path.read_bytes() if path.is_file() else None, place=str(path))


def write_history(folder: Path, history: History) -> None:
    """Write `gate_history.json`. It is not part of the model, so the metadata don't list it."""
    (folder / HISTORY_FILE).write_bytes(history.as_json())


def keep_look(look: Look, runs: Path) -> None:
    """Note a look beside the challengers' folders."""
    write_history(runs, read_history(runs).plus(look))


def _refilled(left: float, before: datetime | None, now: datetime) -> float:
    """What is left after some time; never more than there was to begin with, and clocks set back take nothing."""
    if before is None:
        return left
    days = max(0.0, (now.astimezone(UTC) - before.astimezone(UTC)).total_seconds() / 86_400)
    return min(BUDGET, left + REFILL_PER_DAY * days)

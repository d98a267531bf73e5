"""The maintainer's pages as HTML. The templates escape everything that is put in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from catdog.model.metadata import RESERVED_LABELS
from feedback.decision import Status
from feedback.review.order import Entry, Filter, Signals
from feedback.review.review import count
from feedback.row import Source
from web.admin.sessions import Session
from web.i18n import format_percent

ANY = "any"
PAGE_ROWS = 48
_FOLDER = Path(__file__).parent
STYLE = _FOLDER / "static" / "admin.css"
SCRIPT = _FOLDER / "static" / "admin.js"
_NOTABLE = 0.5
_SURE = 0.8
_DIGIT_KEYS = 9


@dataclass(frozen=True, slots=True)
class Query:
    """What of the queue is shown, as the address says it."""

    status: str = Status.PENDING.value
    label: str = ""
    predicted: str = ""
    source: str = ""
    since: str = ""
    page: int = 1

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Read parameters; what makes no sense counts as not given."""
        words = {name: str(given.get(name, "")) for name in ("label", "predicted", "source", "since")}
        status, page = str(given.get("status", Status.PENDING)), str(given.get("page", ""))
        return cls(
            status=status if status in (*Status, ANY) else Status.PENDING.value,
            page=max(1, int(page)) if page.isascii() and page.isdecimal() and len(page) < _DIGIT_KEYS else 1,
            **words,
        )

    @property
    def filter(self) -> Filter:
        """The same for the queue."""
        return Filter(
            status=None if self.status == ANY else Status(self.status),
            label=self.label or None,
            predicted=self.predicted or None,
            source=self.source or None,
            since=_day(self.since),
        )

    @property
    def is_narrow(self) -> bool:
        """Whether rows are left out for anything but their status."""
        return any((self.label, self.predicted, self.source, self.since))

    @property
    def words(self) -> str:
        """What is shown, in words."""
        parts = {"counts as": self.label, "model said": self.predicted, "from": self.source, "since": self.since}
        status = f"{self.status} status" if self.status == ANY else self.status
        return ", ".join([status, *(f"{name} {value}" for name, value in parts.items() if value)])

    def fields(self) -> dict[str, str]:
        """As the parameters of an address or the fields of a form."""
        names = ("status", "label", "predicted", "source", "since", "page")
        return {name: str(getattr(self, name)) for name in names if getattr(self, name) not in ("", 1)}

    def address(self, page: int | None = None) -> str:
        """The parameters of this page's address, or of another page of the same rows."""
        return "?" + urlencode(replace(self, page=page or self.page).fields())


class AdminView:
    """Renders the maintainer's pages."""

    def __init__(self, title: str) -> None:
        self._title = title
        self.templates = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def login(self, *, base: str, problem: str = "") -> str:
        """The form that asks for the token.

        Args:
            base: The address of the pages, without a slash at its end.
            problem: What is to be told first.
        """
        template = self.templates.get_template("login.html")
        return template.render(base=base, title=self._title, problem=problem)

    def queue(  # noqa: PLR0913 - what a page shows
        self,
        entries: Sequence[Entry],
        query: Query,
        *,
        session: Session,
        base: str,
        problem: str = "",
        notice: str = "",
    ) -> str:
        """The rows to decide about.

        Args:
            entries: All rows, the most useful first.
            query: Which of them to show.
            session: Whose page it is.
            base: The address of the pages, without a slash at its end.
            problem: What is to be told first.
            notice: What is to be told as long as it is so.
        """
        wanted = query.filter
        shown = [entry for entry in entries if wanted.matches(entry)]
        pages = max(1, -(-len(shown) // PAGE_ROWS))
        page = min(query.page, pages)
        return self.templates.get_template("admin.html").render(
            base=base,
            title=self._title,
            problem=problem,
            notice=notice,
            session=session,
            cards=[_card(entry) for entry in shown[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]],
            counts=count(entries),
            found=len(shown),
            choices=_choices(entries),
            query=query,
            page=page,
            pages=pages,
        )


@dataclass(frozen=True, slots=True)
class _Card:
    """One row in words."""

    id: str
    status: str
    predicted: str
    confidence: str
    verdict: str
    said: str
    is_confirmation: bool
    counts_as: str
    agreement: str
    is_disputed: bool
    why: tuple[str, ...]
    labels: tuple[str, ...]
    source: str
    made_at: datetime
    model: str
    decided: str
    reason: str


def _card(entry: Entry) -> _Card:
    row, reviewed = entry.row, entry.reviewed
    return _Card(
        id=row.id,
        status=reviewed.status.value,
        predicted=row.predicted_label,
        confidence=format_percent(max(row.probabilities)),
        verdict=row.verdict,
        said=row.corrected_label,
        is_confirmation=row.is_confirmation,
        counts_as=reviewed.label,
        agreement=_agreement(entry),
        is_disputed=entry.agreeing < entry.voters,
        why=(*(("random sample",) if row.is_audit else ()), *_why(entry.signals)),
        labels=(*row.labels, *sorted(RESERVED_LABELS)),
        source=row.source.value,
        made_at=row.created_at,
        model=f"{row.model_id} {row.model_revision[:12]}",
        decided=_decided(entry),
        reason=reviewed.decision.reason if reviewed.decision else "",
    )


def _agreement(entry: Entry) -> str:
    """How many say what this person says; those whose rows were rejected have no vote."""
    if not entry.voters:
        return ""
    if entry.voters == entry.agreeing:
        return "nobody else so far" if entry.voters == 1 else f"all {entry.voters} people say so"
    return f"{entry.agreeing} of {entry.voters} people say so"


def _why(signals: Signals) -> tuple[str, ...]:
    """The signals that stand out, in words."""
    words = {
        "model was sure": signals.sure_but_corrected > _SURE,
        "people disagree": signals.disagreement > _NOTABLE,
        "model was not sure": signals.low_confidence > _NOTABLE,
        "unusual picture": signals.unlike_training > _NOTABLE,
    }
    return tuple(word for word, stands_out in words.items() if stands_out)


def _decided(entry: Entry) -> str:
    decision = entry.reviewed.decision
    if decision is None:
        return ""
    words = {Status.ACCEPTED: f"Accepted as {entry.reviewed.label}", Status.REJECTED: "Rejected"}
    return f"{words.get(decision.status, 'Undone')} by {decision.by}"


def _choices(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """What each filter can be set to."""
    found = {(entry.row.predicted_label, entry.reviewed.label, entry.row.source) for entry in entries}
    sources = {source for _, _, source in found}
    return {
        "status": [*Status, ANY],
        "predicted": sorted({predicted for predicted, _, _ in found}),
        "label": sorted({label for _, label, _ in found}),
        "source": [source for source in Source if source in sources],
    }


def _day(given: str) -> datetime | None:
    try:
        return datetime.fromisoformat(given).replace(tzinfo=UTC)
    except ValueError:
        return None

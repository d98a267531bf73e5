"""`python -m train watch`: retrain when enough newly accepted feedback is there. For cron jobs and workflows."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from catdog.allocator import trim
from catdog.errors import DataError, FeedbackError, GateRefusedError, HubError, SettingsError
from catdog.hub.models import REVOKED_FILE
from catdog.model.metadata import METADATA_FILE
from catdog.settings import Settings
from train.gate.report import GateReport
from train.loop.accepted import open_feedback
from train.loop.challenger import RETRAIN_SCHEDULE
from train.loop.late import LateSchedule
from train.loop.repository import REFUSED_BRANCH, ModelRepository
from train.loop.retrain import Retrained, RetrainOptions, retrain
from train.loop.revoked import feedback_rows, parse_metadata, read_revoked
from train.options import Schedule

REFUSED_FILE = "refused.json"
"""On that branch: the last attempt that the gate refused, so that nobody repeats it with the same rows."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What `python -m train watch` was asked to do."""

    repo: str
    """The model's repository: base, champion and target."""
    data: str
    feedback: str
    min_new: int
    """How many rows that no model has been made with start a training."""
    out: Path
    """Challengers become folders in here."""
    revision: str | None = None
    """Of `data`."""
    late: LateSchedule = field(default_factory=LateSchedule)
    full: bool = False
    schedule: Schedule = RETRAIN_SCHEDULE
    """These three as in `RetrainOptions`."""


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to do."""

    head: str
    """The live commit."""
    accepted: frozenset[str]
    """Ids of all accepted rows."""
    new: frozenset[str]
    """Those that neither the live model, nor a revoked one, nor the last refused attempt was made with."""


def look(options: WatchOptions, settings: Settings) -> Found:
    """Count the accepted rows that are new.

    Raises:
        SettingsError: there is no such repository, or no model in it.
        DataError, FeedbackError, HubError: see `open_feedback` and `ModelRepository`.
    """
    repository = ModelRepository.open(options.repo, settings)
    head = repository.head()
    live = parse_metadata(repository.read(METADATA_FILE, head)) if head else None
    if head is None or live is None:
        raise SettingsError(f"{options.repo} holds no model that this token may see. Publish one first.")
    accepted = frozenset(row.id for row in open_feedback(options.feedback, settings).rows)
    known = feedback_rows(live) | _revoked_rows(repository, head) | _refused_rows(repository)
    return Found(head, accepted, accepted - known)


def watch_once(options: WatchOptions, settings: Settings, *, now: datetime) -> Retrained | None:
    """Look once, and retrain and publish if enough is there; None if not.

    Raises:
        CatdogError: see `look` and `retrain`.
    """
    found = look(options, settings)
    _log.info("%s: %d accepted rows, %d of them new", options.repo, len(found.accepted), len(found.new))
    if len(found.new) < options.min_new:
        return None
    done = retrain(
        RetrainOptions(
            data=options.data,
            revision=options.revision,
            feedback=options.feedback,
            base=f"{options.repo}@{found.head}",
            out=options.out / f"{now:%Y%m%dT%H%M%SZ}",
            publish=options.repo,
            late=options.late,
            full=options.full,
            schedule=options.schedule,
        ),
        settings,
    )
    if not done.report.accepted:
        _remember(ModelRepository.open(options.repo, settings), found, done.report, now)
    return done


def watch(
    options: WatchOptions, settings: Settings, *, every_s: float, wait: Callable[[float], None] = time.sleep
) -> None:
    """Look again and again, until interrupted; what goes wrong is logged, and tried again the next time."""
    while True:
        try:
            done = watch_once(options, settings, now=datetime.now(UTC))
            if done:
                _log.info("%s", done.report.as_text())
        except (DataError, FeedbackError, GateRefusedError, HubError) as error:
            _log.error("%s", error)
        trim()  # a training keeps what it frees, and the next one may be days away
        wait(every_s)


def _revoked_rows(repository: ModelRepository, head: str) -> frozenset[str]:
    """What the models that were rolled back had been made with, where their commits are still there."""
    rows: frozenset[str] = frozenset()
    for entry in read_revoked(repository.read(REVOKED_FILE, head)):
        if repository.resolve(entry.commit):
            metadata = parse_metadata(repository.read(METADATA_FILE, entry.commit))
            rows |= feedback_rows(metadata) if metadata else frozenset()
    return rows


def _refused_rows(repository: ModelRepository) -> frozenset[str]:
    commit = repository.resolve(REFUSED_BRANCH)
    content = repository.read(REFUSED_FILE, commit) if commit else None
    try:
        return frozenset(json.loads(content)["rows"]) if content else frozenset()
    except (ValueError, KeyError, TypeError):
        _log.warning("%s on the branch %s is damaged; it is ignored", REFUSED_FILE, REFUSED_BRANCH)
        return frozenset()


def _remember(repository: ModelRepository, found: Found, report: GateReport, now: datetime) -> None:
    """Note a refusal on a branch of its own: `main` moves only for a model, since every app follows it."""
    record = {
        "at": now.isoformat(),
        "base": found.head,
        "rows": sorted(found.accepted),
        "gate": report.model_dump(mode="json"),
    }
    content = json.dumps(record, indent=2).encode()
    repository.create_branch(REFUSED_BRANCH, found.head)
    parent = repository.resolve(REFUSED_BRANCH) or found.head
    repository.commit(
        {REFUSED_FILE: content}, [], message=f"Refused: {len(found.new)} new rows", parent=parent, branch=REFUSED_BRANCH
    )

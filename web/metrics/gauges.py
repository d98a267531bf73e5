"""What is read anew whenever Prometheus asks: feedback, queues, warnings. Unlike counters it outlives a restart."""

from collections import Counter as Tally
from collections.abc import Mapping
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from feedback.hub.sync import SyncState
from feedback.journal.journal import Pending
from feedback.stats import Stats
from web.service.workers import Load


class Gauges:
    """The state of the service as Prometheus sees it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"catdog_{name}", text, labels, registry=registry)

        self._answers = gauge(
            "journal_answers",
            "Predictions in the journal that a person confirmed or corrected, by the newest answer",
            ("kind", "model_revision"),
        )
        self._rows = gauge("journal_rows", "Rows in the journal, changed answers and the audit sample too")
        self._pending = gauge("pending_rows", "Rows that only this machine has")
        self._oldest_pending = gauge("oldest_pending_age_seconds", "Age of the oldest of these")
        self._damaged = gauge("damaged_rows", "Rows whose picture is not what was saved; a sign of a failing disk")
        self._syncs = gauge("sync_configured", "1 if corrections are sent to a data set on the Hub")
        self._last_sync = gauge(
            "last_sync_success_timestamp_seconds", "When all corrections had been sent to the Hub last"
        )
        self._waiting = gauge("queue_waiting", "Requests that wait for a place", ("queue",))
        self._busy = gauge("queue_busy", "Requests that have one", ("queue",))
        self._places = gauge("queue_places", "How many can have one at a time", ("queue",))
        self._warnings = gauge("warnings", "Warnings that /health shows, such as a model that cannot be reloaded")
        self._sync_failures = Counter(
            "catdog_sync_failures", "Failed attempts to send corrections to the Hub", registry=registry
        )
        self._known_sync_failures = 0

    def feedback_is(self, pending: Pending, state: SyncState | None) -> None:
        """Note what only this machine has, and how sending it to the Hub goes, if it is sent."""
        self._pending.set(pending.rows)
        self._oldest_pending.set((datetime.now(UTC) - pending.oldest_at).total_seconds() if pending.oldest_at else 0.0)
        self._damaged.set(pending.damaged)
        self._syncs.set(state is not None)
        if state:
            self._last_sync.set(state.last_success.timestamp() if state.last_success else 0.0)
            self._sync_failures.inc(state.failures - self._known_sync_failures)
            self._known_sync_failures = state.failures

    def journal_is(self, stats: Stats) -> None:
        """Note what people have said, by the revision that they said it of."""
        told: Tally[tuple[str, str]] = Tally()
        for answer in stats.answers:
            told["confirmation" if answer.is_confirmation else "correction", answer.model_revision] += answer.requests
        self._answers.clear()
        for labels, requests in told.items():
            self._answers.labels(*labels).set(requests)
        self._rows.set(stats.rows)

    def queues_are(self, loads: Mapping[str, Load]) -> None:
        """Note how busy the service is."""
        for name, load in loads.items():
            self._waiting.labels(name).set(load.waiting)
            self._busy.labels(name).set(load.busy)
            self._places.labels(name).set(load.places)

    def warnings_are(self, count: int) -> None:
        """Note how many warnings there are."""
        self._warnings.set(count)

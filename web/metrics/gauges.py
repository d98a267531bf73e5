"""Gauges, read whenever Prometheus asks: feedback, queues, warnings, drift. Unlike counters they survive a restart."""

from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from feedback.hub.sync import SyncState
from feedback.journal.journal import Pending
from feedback.stats import Stats

if TYPE_CHECKING:
    from catdog.model.drift import DriftMonitor


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a queue and the places behind it are."""

    waiting: int
    busy: int
    places: int


class Gauges:
    """The state of the service."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"catdog_{name}", text, labels, registry=registry)

        self._answers = gauge(
            "journal_answers",
            "Predictions in the journal that a person confirmed or corrected, by the newest correction",
            ("kind", "model_revision"),
        )
        self._rows = gauge("journal_rows", "Rows in the journal, including replaced ones and the audit sample")
        self._pending = gauge("pending_rows", "Rows that only this machine has")
        self._oldest_pending = gauge("oldest_pending_age_seconds", "Age of the oldest of these")
        self._damaged = gauge("damaged_rows", "Rows whose picture was damaged on disk; a sign of a failing disk")
        self._syncs = gauge("sync_configured", "1 if corrections are sent to a data set on the Hub")
        self._last_sync = gauge("last_sync_success_timestamp_seconds", "When all corrections were last sent to the Hub")
        self._waiting = gauge("queue_waiting", "Requests waiting for a place", ("queue",))
        self._busy = gauge("queue_busy", "Requests that have one", ("queue",))
        self._places = gauge("queue_places", "How many can have one at a time", ("queue",))
        self._warnings = gauge("warnings", "Warnings that /health shows, such as a model that cannot be reloaded")
        self._sync_failures = Counter(
            "catdog_sync_failures", "Failed attempts to send corrections to the Hub", registry=registry
        )
        self._known_sync_failures = 0

    def feedback_is(self, pending: Pending, state: SyncState | None) -> None:
        """Set how many rows only this machine has, and the state of sending them to the Hub."""
        self._pending.set(pending.rows)
        self._oldest_pending.set(pending.oldest_age_s(datetime.now(UTC)) or 0.0)
        self._damaged.set(pending.damaged)
        self._syncs.set(state is not None)
        if state:
            self._last_sync.set(state.last_success.timestamp() if state.last_success else 0.0)
            self._sync_failures.inc(state.failures - self._known_sync_failures)
            self._known_sync_failures = state.failures

    def journal_is(self, stats: Stats) -> None:
        """Set how many predictions were confirmed and corrected, by model revision."""
        counts: Tally[tuple[str, str]] = Tally()
        for answer in stats.answers:
            counts["confirmation" if answer.is_confirmation else "correction", answer.model_revision] += answer.requests
        self._answers.clear()
        for labels, requests in counts.items():
            self._answers.labels(*labels).set(requests)
        self._rows.set(stats.rows)

    def queues_are(self, loads: Mapping[str, Load]) -> None:
        """Set how busy the service is."""
        for name, load in loads.items():
            self._waiting.labels(name).set(load.waiting)
            self._busy.labels(name).set(load.busy)
            self._places.labels(name).set(load.places)

    def warnings_are(self, count: int) -> None:
        """Set how many warnings there are."""
        self._warnings.set(count)


class DriftGauges(Collector):
    """Drift, computed when Prometheus asks: a score and a threshold for each property.

    There are none while there are too few pictures, or no reference.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.monitor: DriftMonitor | None = None
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges as they stand."""
        if self.monitor is None or not self.monitor.has_reference:
            return
        pictures = GaugeMetricFamily("catdog_drift_pictures", "Different pictures that are compared")
        score = GaugeMetricFamily("catdog_drift_score", "How far they are from the reference", labels=["property"])
        limit = GaugeMetricFamily("catdog_drift_threshold", "A score above is not chance", labels=["property"])
        pictures.add_metric([], self.monitor.pictures)
        for each in self.monitor.scores():
            score.add_metric([each.name], each.score)
            limit.add_metric([each.name], each.threshold)
        yield from (pictures, score, limit)

"""What the service counts, for Prometheus and as JSON."""

import threading
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0 as PROMETHEUS_TEXT

from catdog.model import Prediction
from web.history import History

__all__ = ["PROMETHEUS_TEXT", "Metrics", "Summary"]

_LATENCY_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts since the start; latencies are None before the first prediction."""

    total_requests: int
    successful_requests: int
    failed_requests: int
    average_latency_ms: float | None
    min_latency_ms: float | None
    max_latency_ms: float | None
    prediction_counts: dict[str, int]
    last_request_time: datetime | None


class Metrics:
    """Counts predictions and corrections, of page and API alike. Safe to use from many threads."""

    def __init__(self, *, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._labels: Tally[str] = Tally()
        self._failed = 0
        self._latencies = _Latencies()
        self._last_at: datetime | None = None
        self.history = History(clock=clock)
        self.registry = CollectorRegistry()
        self._predictions = Counter(
            "catdog_predictions", "Pictures classified", ["label", "verdict", "source"], registry=self.registry
        )
        self._failures = Counter(
            "catdog_prediction_failures", "Pictures that were not classified", ["code"], registry=self.registry
        )
        self._seconds = Histogram(
            "catdog_prediction_seconds",
            "Time from a picture in hand to its answer, waiting included",
            buckets=_LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._feedback = Counter("catdog_feedback", "Answers kept", ["kind"], registry=self.registry)
        self._model = Gauge(
            "catdog_model_info", "The model that is live", ["model_id", "revision", "origin"], registry=self.registry
        )
        self._pending = Gauge("catdog_pending_rows", "Corrections that only this machine has", registry=self.registry)
        self._oldest_pending = Gauge(
            "catdog_oldest_pending_age_seconds", "Age of the oldest of these", registry=self.registry
        )

        self._last_sync = Gauge(
            "catdog_last_sync_success_timestamp_seconds",
            "When all corrections had been sent to the Hub last",
            registry=self.registry,
        )
        self._sync_failures = Counter(
            "catdog_sync_failures", "Failed attempts to send corrections to the Hub", registry=self.registry
        )
        self._known_sync_failures = 0

    def model_is_live(self, *, model_id: str, revision: str, origin: str) -> None:
        """Note which model answers from now on."""
        self._model.clear()
        self._model.labels(model_id, revision, origin).set(1)

    def predicted(self, prediction: Prediction, *, source: str, seconds: float) -> None:
        """Count a picture that was classified."""
        self._predictions.labels(prediction.label, prediction.verdict, source).inc()
        self._seconds.observe(seconds)
        self.history.predicted(prediction.verdict, latency_ms=1000 * seconds)
        with self._lock:
            self._labels[prediction.label] += 1
            self._latencies.add(1000 * seconds)
            self._last_at = self._clock()

    def failed(self, code: str) -> None:
        """Count a picture that was not classified, by error code."""
        self._failures.labels(code).inc()
        self.history.failed()
        with self._lock:
            self._failed += 1
            self._last_at = self._clock()

    def corrected(self, *, confirmation: bool) -> None:
        """Count an answer that was kept."""
        self._feedback.labels("confirmation" if confirmation else "correction").inc()

    def feedback_waits(self, *, rows: int, oldest_age_s: float | None) -> None:
        """Note how many corrections only this machine has, and the age of the oldest."""
        self._pending.set(rows)
        self._oldest_pending.set(oldest_age_s or 0.0)

    def feedback_was_sent(self, *, last_success: datetime | None, failures: int) -> None:
        """Note how sending to the Hub goes: the last success, and all failures since the start."""
        self._last_sync.set(last_success.timestamp() if last_success else 0.0)
        with self._lock:
            self._sync_failures.inc(failures - self._known_sync_failures)
            self._known_sync_failures = failures

    def summary(self) -> Summary:
        """The counts since the start."""
        with self._lock:
            successful = self._labels.total()
            return Summary(
                total_requests=successful + self._failed,
                successful_requests=successful,
                failed_requests=self._failed,
                average_latency_ms=self._latencies.total / successful if successful else None,
                min_latency_ms=self._latencies.smallest,
                max_latency_ms=self._latencies.largest,
                prediction_counts=dict(self._labels),
                last_request_time=self._last_at,
            )

    def prometheus(self) -> bytes:
        """All counts in Prometheus' text format."""
        return generate_latest(self.registry)


class _Latencies:
    """Sum and extremes, in milliseconds."""

    total = 0.0
    smallest: float | None = None
    largest: float | None = None

    def add(self, latency_ms: float) -> None:
        self.total += latency_ms
        self.smallest = latency_ms if self.smallest is None else min(self.smallest, latency_ms)
        self.largest = latency_ms if self.largest is None else max(self.largest, latency_ms)

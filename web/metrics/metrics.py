"""Counters of the service, for Prometheus and as JSON."""

import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0 as PROMETHEUS_TEXT

from catdog import __version__
from catdog.model.drift import DriftMonitor
from catdog.model.model import Prediction
from web.metrics.gauges import DriftGauges, Gauges
from web.metrics.history import History

__all__ = ["PROMETHEUS_TEXT", "Metrics", "Summary"]

_LATENCY_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_CONFIDENCE_BUCKETS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
STAGES = ("fetch", "wait", "decode", "predict", "save")
"""Fetching a picture by its URL, waiting for a thread, reading and decoding, preprocessing and inference, and storing a
correction."""


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
            "catdog_prediction_failures", "Pictures that could not be classified", ["code"], registry=self.registry
        )
        self._seconds = Histogram(
            "catdog_prediction_seconds",
            "Time from the complete picture to the prediction, waiting included",
            buckets=_LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._stages = Histogram(
            "catdog_stage_seconds",
            "Time of each stage of a request",
            ["stage"],
            buckets=_LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        for stage in STAGES:
            self._stages.labels(stage)
        self._confidence = Histogram(
            "catdog_confidence",
            "Probability of the most probable label",
            buckets=_CONFIDENCE_BUCKETS,
            registry=self.registry,
        )
        self._feedback = Counter("catdog_feedback", "Corrections stored", ["kind"], registry=self.registry)
        self._feedback_failures = Counter(
            "catdog_feedback_failures", "Corrections that could not be stored", ["code"], registry=self.registry
        )
        self._shadowed = Counter(
            "catdog_shadow_predictions",
            "Pictures that the challenger scored, too, and whether it agreed with the live model",
            ["outcome", "revision"],
            registry=self.registry,
        )
        self._errors = Counter("catdog_error_answers", "Error responses of the API", ["code"], registry=self.registry)
        # Prometheus sees no increase where a series begins at 1, and alerts wait for the first one.
        self._feedback_failures.labels("feedback_failed")
        self._errors.labels("internal_error")
        self._model = Gauge(
            "catdog_model_info", "The model that is live", ["model_id", "revision", "origin"], registry=self.registry
        )
        self._model_since = Gauge(
            "catdog_model_live_since_timestamp_seconds", "When it went live", registry=self.registry
        )
        Info("catdog_build", "The version of the app", registry=self.registry).info({"version": __version__})
        ProcessCollector(registry=self.registry)
        self.gauges = Gauges(self.registry)
        self._drift = DriftGauges(self.registry)

    def model_is_live(self, *, model_id: str, revision: str, origin: str, drift: DriftMonitor | None = None) -> None:
        """Record which model is live from now on, and the monitor of its pictures."""
        self._drift.monitor = drift
        self._model.clear()
        self._model.labels(model_id, revision, origin).set(1)
        self._model_since.set(self._clock().timestamp())

    def shadowed(self, *, agrees: bool, revision: str) -> None:
        """Record whether the challenger in shadow agreed with the live model."""
        self._shadowed.labels("agrees" if agrees else "disagrees", revision).inc()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure how long a stage takes, if it succeeds."""
        started = time.perf_counter()
        yield
        self.took(name, time.perf_counter() - started)

    def took(self, stage: str, seconds: float) -> None:
        """Record how long a stage took."""
        self._stages.labels(stage).observe(seconds)

    def predicted(self, prediction: Prediction, *, source: str, seconds: float) -> None:
        """Count a picture that was classified."""
        self._predictions.labels(prediction.label, prediction.verdict, source).inc()
        self._seconds.observe(seconds)
        self._confidence.observe(prediction.confidence)
        self.history.predicted(prediction.verdict, latency_ms=1000 * seconds)
        with self._lock:
            self._labels[prediction.label] += 1
            self._latencies.add(1000 * seconds)
            self._last_at = self._clock()

    def failed(self, code: str) -> None:
        """Count a picture that could not be classified, by error code."""
        self._failures.labels(code).inc()
        self.history.failed()
        with self._lock:
            self._failed += 1
            self._last_at = self._clock()

    def corrected(self, *, confirmation: bool) -> None:
        """Count a stored correction."""
        self._feedback.labels("confirmation" if confirmation else "correction").inc()

    def not_kept(self, code: str) -> None:
        """Count a correction that could not be stored, by error code."""
        self._feedback_failures.labels(code).inc()

    def refused(self, code: str) -> None:
        """Count an error response of the API, whatever the route."""
        self._errors.labels(code).inc()

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

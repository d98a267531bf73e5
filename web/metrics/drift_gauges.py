"""Drift as Prometheus sees it: computed when it asks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from catdog.model.drift import DriftMonitor


class DriftGauges(Collector):
    """A score and a threshold for each property; none while there are too few pictures, or no reference."""

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

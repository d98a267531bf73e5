"""What happened in the last day, in steps of ten minutes, for the maintainer's plots; only counts, in memory."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

STEP = timedelta(minutes=10)
STEPS = 144
LATENCY_EDGES_MS = (5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(slots=True)
class Step:
    """Ten minutes."""

    begins: datetime
    verdicts: Counter[str] = field(default_factory=Counter)
    failures: int = 0


class History:
    """Counts by step. Safe to use from many threads."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._steps: OrderedDict[datetime, Step] = OrderedDict()
        self._latencies = [0] * (len(LATENCY_EDGES_MS) + 1)

    def predicted(self, verdict: str, *, latency_ms: float) -> None:
        """Count a prediction."""
        with self._lock:
            self._now().verdicts[verdict] += 1
            self._latencies[sum(latency_ms > edge for edge in LATENCY_EDGES_MS)] += 1

    def failed(self) -> None:
        """Count a failed prediction."""
        with self._lock:
            self._now().failures += 1

    def steps(self) -> list[Step]:
        """The last day, oldest first; steps without requests are there too."""
        with self._lock:
            last = _floor(self._clock())
            begins = [last - STEP * back for back in reversed(range(STEPS))]
            known = {at: Step(at, Counter(step.verdicts), step.failures) for at, step in self._steps.items()}
        return [known.get(at) or Step(at) for at in begins]

    def latencies(self) -> list[int]:
        """How many predictions since the start took up to each of `LATENCY_EDGES_MS`, and more than the last."""
        with self._lock:
            return list(self._latencies)

    def _now(self) -> Step:
        begins = _floor(self._clock())
        step = self._steps.setdefault(begins, Step(begins))
        while len(self._steps) > STEPS:
            self._steps.popitem(last=False)
        return step


def _floor(at: datetime) -> datetime:
    return at - (at - datetime.min.replace(tzinfo=UTC)) % STEP

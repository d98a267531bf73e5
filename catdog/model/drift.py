"""Drift: whether the pictures of today are like those that the model was judged by.

Some properties of every picture are compared, each by itself, with the distribution that the model folder holds: by the
two-sample Kolmogorov-Smirnov test, over a sliding window. Nothing of this knows the right labels, so it cannot tell
whether the model errs more: other pictures may be just as easy, and its errors may change where its inputs do not.
"""

import math
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catdog.model.metadata import Distribution, DriftReference, Metadata, Preprocessing, Projection
from catdog.model.model import Seen

WINDOW = 1000
"""So many pictures are compared, the last ones ..."""
LEAST = 200
"""... and so many at least."""
FALSE_ALARM_RATE = 0.001
"""Of all properties together: in this share of windows chance alone lifts at least one above its threshold."""

_EVERY_ROW = 8  # so few rows of pixels tell enough
_GREEN = 1  # about as bright as the whole
_FLAT = 1e-3

Properties = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DriftScore:
    """How far the pictures are from the reference in one property."""

    name: str
    score: float
    """The Kolmogorov-Smirnov distance in [0, 1]: the largest difference between two shares of pictures."""
    threshold: float
    """What chance reaches too rarely to be the reason, see `FALSE_ALARM_RATE`."""

    @property
    def is_drift(self) -> bool:
        """Whether it is more than chance."""
        return self.score > self.threshold


def measure(seen: Seen, spec: Preprocessing) -> dict[str, float]:
    """The properties of one picture that need no reference: of the answer, of the file, of what the network was shown.

    Returns:
        `confidence` in [0, 1]; `size`, the shorter side in pixels, up to what the network can use (the decoder keeps
        no more of a large photo); `aspect`, width divided by height; `brightness` in [0, 1]; `contrast`, the standard
        deviation of the same; `sharpness`, the mean step from a pixel to the next, divided by the contrast.
    """
    width, height = seen.size
    rows = seen.pixels[_GREEN, ::_EVERY_ROW]
    mean = float(rows.mean())
    centred = (rows - mean).ravel()
    deviation = math.sqrt(float(centred @ centred) / centred.size)
    step = float(np.abs(rows[:, 1:] - rows[:, :-1]).mean())
    return {
        "confidence": seen.prediction.confidence,
        "size": min(width, height, spec.input_size / spec.crop_pct),
        "aspect": width / height,
        "brightness": mean * spec.std[_GREEN] + spec.mean[_GREEN],
        "contrast": deviation * spec.std[_GREEN],
        "sharpness": step / deviation if deviation > _FLAT else 0.0,
    }


class FeatureDistance:
    """How far the network's features are from their mean, in some principal components (a Mahalanobis distance)."""

    def __init__(self, projection: Projection) -> None:
        self._weights = projection.matrix
        self._offsets = np.array(projection.offsets, dtype=np.float32)

    def __call__(self, features: npt.NDArray[np.float32]) -> float:
        """The distance of one picture's features, shape (features,), in standard deviations."""
        return float(np.linalg.norm(self._weights @ features + self._offsets))


class DriftMonitor:
    """Compares the last pictures with a model's reference. Safe to use from many threads.

    A picture that is in the window already is not counted again: a probe that sends the same one each minute, or one
    person's many attempts, must not fill it. It is recognised by its properties, no picture is kept.
    """

    def __init__(self, metadata: Metadata, revision: str, *, window: int = WINDOW) -> None:
        """Begin with an empty window.

        Args:
            metadata: Of the model that answers. Without a reference nothing is compared.
            revision: Of that model; what another one saw is ignored.
            window: How many pictures are compared at most.
        """
        self._reference = metadata.drift_reference
        self._spec = metadata.preprocessing
        self._revision = revision
        projection = self._reference and self._reference.projection
        self._distance = FeatureDistance(projection) if projection else None
        self._names = tuple(self._reference.properties) if self._reference else ()
        self._window: deque[tuple[float, ...]] = deque(maxlen=window)
        self._known: set[tuple[float, ...]] = set()
        self._lock = threading.Lock()

    @property
    def has_reference(self) -> bool:
        """Whether the model tells what its pictures were like."""
        return self._reference is not None

    @property
    def pictures(self) -> int:
        """How many are in the window."""
        return len(self._window)

    def observe(self, seen: Seen) -> None:
        """Add one picture to the window, in place of the oldest."""
        if self._reference is None or seen.prediction.model_revision != self._revision:
            return
        properties = measure(seen, self._spec)
        if self._distance is not None and seen.features is not None:
            properties["features"] = self._distance(seen.features)
        self.add(properties)

    def add(self, properties: Properties) -> None:
        """Add one picture by its properties; those that the reference does not have are ignored."""
        values = tuple(properties.get(name, math.nan) for name in self._names)
        with self._lock:
            if values in self._known:
                return
            if len(self._window) == self._window.maxlen:
                self._known.discard(self._window[0])
            self._window.append(values)
            self._known.add(values)

    def scores(self) -> list[DriftScore]:
        """The comparison as it stands, a property each; nothing while there are too few pictures."""
        if self._reference is None or len(self._window) < LEAST:
            return []
        with self._lock:
            columns = np.array(self._window).T
        return compare(self._reference, dict(zip(self._names, columns, strict=True)))


def compare(reference: DriftReference, properties: Mapping[str, npt.NDArray[np.float64]]) -> list[DriftScore]:
    """Compare pictures with a reference.

    Args:
        reference: Of the model.
        properties: Each of shape (n,), n of them at least 1; only what the reference has is compared.

    Returns:
        One score for each property, with thresholds that together keep `FALSE_ALARM_RATE`.
    """
    both = [name for name in reference.properties if name in properties]
    return [
        DriftScore(
            name,
            distance(reference.properties[name], properties[name]),
            threshold(len(properties[name]), reference.n, tests=len(both)),
        )
        for name in both
    ]


def distance(reference: Distribution, values: npt.NDArray[np.float64]) -> float:
    """The largest difference between the shares of reference and values, shape (n,), up to any of the stored points.

    Between those points it may be larger, so the test is a little too cautious, never the opposite; and values that
    occur often do it no harm.
    """
    below = np.searchsorted(np.sort(values), reference.values, side="right") / len(values)
    return float(np.abs(below - np.array(reference.shares)).max())


def threshold(n: int, m: int, *, tests: int) -> float:
    """What the distance of two samples of n and m from one distribution exceeds in `FALSE_ALARM_RATE / tests` of cases.

    Smirnov's limit for large samples, where `P(D > t)` is at most `2 exp(-2 t² nm / (n + m))`; divided among the tests
    after Bonferroni, which holds however they depend on each other.
    """
    return math.sqrt(math.log(2 * tests / FALSE_ALARM_RATE) / 2 * (n + m) / (n * m))

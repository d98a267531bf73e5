"""The drift reference: what the validation pictures are like, for the running app to compare its own with."""

import base64
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from catdog.errors import DataError
from catdog.model.drift import FeatureDistance, measure
from catdog.model.metadata import Distribution, DriftReference, Projection
from catdog.model.model import Model, Prediction
from train.data.examples import map_rows
from train.data.source import Row, Source

_POINTS = 64
_COMPONENTS = 8
_PROJECTION_PICTURES = 1000
_SMALLEST_VARIANCE = 1e-6  # of a component, relative to the largest; what is less is noise
_MOST_OF_ONE = 0.9
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a model says about one picture, and what is compared with those of the running app."""

    prediction: Prediction
    properties: dict[str, float]
    features: npt.NDArray[np.float32] | None
    """Shape (features,); None if the network does not tell them."""


def look_at(model: Model, source: Source, rows: Sequence[int]) -> list[Looked]:
    """The readable ones of some rows, through a model folder as it is served."""

    def look(_row: Row, image: Image.Image) -> Looked:
        seen = model.look(image)
        return Looked(seen.prediction, measure(seen, model.metadata.preprocessing), seen.features)

    return [each for each in map_rows(source, look, rows) if not isinstance(each, str)]


def make_reference(model: Model, source: Source, looked: Sequence[Looked], *, others: Sequence[int]) -> DriftReference:
    """Describe some pictures.

    Args:
        model: The model folder as it is served.
        source: The pictures.
        looked: Those of the reference, the model's own validation pictures as a rule.
        others: Rows of which some make the projection: were it fitted to the reference's own pictures, they would lie
            nearer to its mean than any later ones.

    Raises:
        DataError: there are none.
    """
    if not looked:
        raise DataError(f"{source.name} has no picture for the drift reference: none is of the validation split.")
    columns = {name: np.array([each.properties[name] for each in looked]) for name in looked[0].properties}
    projection = _projection(model, source, others)
    if projection is not None:
        distance = FeatureDistance(projection)
        columns["features"] = np.array([distance(each.features) for each in looked if each.features is not None])
    described = {name: describe(values) for name, values in columns.items()}
    for name in (name for name, distribution in described.items() if distribution is None):
        _log.info("no drift reference for `%s`: nearly all pictures have the same", name)
    properties = {name: distribution for name, distribution in described.items() if distribution is not None}
    return DriftReference(n=len(looked), properties=properties, projection=projection)


def describe(values: npt.NDArray[np.float64]) -> Distribution | None:
    """A distribution by its quantiles; None where nearly all pictures have one value.

    That is a trace of how a data set was made, such as pictures all scaled to one size, and nothing that can be
    expected of others.
    """
    if np.unique(values, return_counts=True)[1].max() > _MOST_OF_ONE * len(values):
        return None
    levels = np.arange(1, _POINTS + 1) / _POINTS
    points = np.unique([float(f"{value:.6g}") for value in np.quantile(values, levels, method="inverted_cdf")])
    # Shares up to the points as they are after rounding: exact, whatever values occur often.
    shares = np.searchsorted(np.sort(values), points, side="right") / len(values)
    return Distribution(values=tuple(points.tolist()), shares=tuple(round(share, 6) for share in shares.tolist()))


def _projection(model: Model, source: Source, rows: Sequence[int]) -> Projection | None:
    """Principal components of the features of some rows; None where the network tells no features."""
    chosen = np.random.default_rng(0).permutation(np.array(rows, dtype=np.int64))[:_PROJECTION_PICTURES]
    looked = look_at(model, source, np.sort(chosen).tolist())
    features = [each.features for each in looked if each.features is not None]
    return principal_components(np.stack(features)) if len(features) > 1 else None


def principal_components(features: npt.NDArray[np.float32]) -> Projection | None:
    """From features of shape (n, features) to the projection; None where they are all the same."""
    mean = features.mean(axis=0, dtype=np.float64)
    variances, directions = np.linalg.eigh(np.cov(features, rowvar=False, dtype=np.float64))
    order = np.argsort(variances)[::-1][:_COMPONENTS]
    order = order[variances[order] > max(_SMALLEST_VARIANCE * variances.max(), np.finfo(np.float32).tiny)]
    if not len(order):
        return None
    weights = (directions[:, order] / np.sqrt(variances[order])).T.astype("<f2")
    offsets = -(weights.astype(np.float64) @ mean)
    return Projection(weights=base64.b64encode(weights.tobytes()).decode(), offsets=tuple(offsets.tolist()))

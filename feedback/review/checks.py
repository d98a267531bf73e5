"""The second check before a row is accepted without a look: does a model object to the label?"""

from collections.abc import Callable, Sequence
from pathlib import Path

from catdog.images.decode import decode_image
from feedback.review.order import Entry

Objects = Callable[[Entry], bool]


def own_model_objects(*, min_probability: float) -> Objects:
    """Ask what was recorded of the model that made the prediction."""

    def objects(entry: Entry) -> bool:
        row = entry.row
        return _objects(row.corrected_label, row.verdict, row.labels, row.probabilities, min_probability)

    return objects


def model_objects(folder: Path, picture: Callable[[str], bytes], *, min_probability: float) -> Objects:
    """Ask a model, which is better one that did not make the predictions.

    Args:
        folder: A model folder.
        picture: Reads the picture of a row.
        min_probability: A model objects to a label that it gives less.

    Raises:
        ModelError: the folder holds no model that works.
    """
    from catdog.model.model import Model  # noqa: PLC0415 - ONNX Runtime, which reviewing does without otherwise

    model = Model.load(folder)

    def objects(entry: Entry) -> bool:
        said = model.predict(decode_image(picture(entry.row.id)))
        return _objects(entry.row.corrected_label, said.verdict, said.labels, said.probabilities, min_probability)

    return objects


def _objects(
    label: str, verdict: str, labels: Sequence[str], probabilities: Sequence[float], min_probability: float
) -> bool:
    """A label that the model has no probability for, such as `neither`, must be its verdict."""
    return label != verdict and dict(zip(labels, probabilities, strict=True)).get(label, -1.0) < min_probability

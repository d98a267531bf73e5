"""The served model: a model folder, loaded and checked, that turns images into predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from catdog.errors import ModelError
from catdog.model.metadata import (
    NEITHER,
    ONNX_FILE,
    UNSURE,
    WEIGHTS_FILE,
    Metadata,
    Verdict,
    load_metadata,
    verify_file,
)
from catdog.model.network import ORT_ERRORS, Network, Outputs
from catdog.model.preprocessing import preprocess

_FEATURES = "features"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one model says about one image."""

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    """In the order of `labels`, in [0, 1], with sum 1."""
    verdict: Verdict
    """What the app says: the top label, `neither` or `unsure`."""
    positive_label: str | None
    neither_score: float | None
    """The model's own score for "none of the labels", if it has one; larger is less like the labels."""
    model_id: str
    model_revision: str

    @property
    def label(self) -> str:
        """The label with the largest probability, whatever the verdict."""
        return self.labels[self.probabilities.index(self.confidence)]

    @property
    def confidence(self) -> float:
        """The largest probability."""
        return max(self.probabilities)

    @property
    def probability(self) -> float | None:
        """The probability of `positive_label`; None if the model has none."""
        return None if self.positive_label is None else self.probabilities[self.labels.index(self.positive_label)]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model says about one image, and what it saw."""

    prediction: Prediction
    size: tuple[int, int]
    """Width and height of the decoded image in pixels."""
    pixels: npt.NDArray[np.float32]
    """The network's input, shape (3, side, side)."""
    features: npt.NDArray[np.float32] | None
    """What the network sees before it decides, shape (features,); None if it does not tell."""


class Model:
    """A model folder's ONNX network with its metadata. Safe to use from many threads."""

    def __init__(self, metadata: Metadata, network: Network, *, model_id: str, revision: str) -> None:
        self.metadata = metadata
        self.model_id = model_id
        self.revision = revision
        self.folder: Path | None = None
        """Where it was loaded from, with its card and plots; None if it was not."""
        self._network = network
        self._has = network.outputs
        self._outputs = [name for name in ("logits", "neither_score") if name in self._has]

    @classmethod
    def load(cls, folder: Path, *, model_id: str | None = None, revision: str | None = None) -> Self:
        """Load a model folder, check it against its recorded hashes and run it once.

        Args:
            folder: A folder as `python -m train fit` writes it.
            model_id: The Hub repository that it came from; the folder's name if None.
            revision: The Hub commit; `local-` and 12 digits of the weights' hash if None.

        Raises:
            ModelError: a file is missing or damaged, or the network does not fit the metadata.
        """
        metadata = load_metadata(folder)
        path = verify_file(folder, metadata, ONNX_FILE)
        weights_hash = metadata.sha256(WEIGHTS_FILE) or metadata.sha256(ONNX_FILE)
        model = cls(
            metadata,
            Network(path),
            model_id=model_id or folder.resolve().name,
            revision=revision or f"local-{weights_hash:.12}",
        )
        model.folder = folder
        model._check()
        return model

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of the logits."""
        return self.metadata.labels

    @property
    def corrections_learned(self) -> int:
        """How many corrections it was trained with, as retraining recorded them."""
        return self.metadata.corrections_learned

    def predict(self, image: Image.Image) -> Prediction:
        """Classify one RGB image of any size."""
        return self.predict_batch([preprocess(image, self.metadata.preprocessing)])[0]

    def predict_batch(self, inputs: Sequence[npt.NDArray[np.float32]]) -> list[Prediction]:
        """Classify preprocessed images, each of shape (3, side, side)."""
        return self._predictions(self._run(self._outputs, inputs))

    def look(self, image: Image.Image) -> Seen:
        """Classify one RGB image of any size; the answer comes with what it was made from."""
        pixels = preprocess(image, self.metadata.preprocessing)
        features = [_FEATURES] if _FEATURES in self._has else []
        outputs = self._run([*self._outputs, *features], [pixels])
        return Seen(self._predictions(outputs)[0], image.size, pixels, outputs[_FEATURES][0] if features else None)

    @property
    def explains(self) -> bool:
        """Whether `explain` works: the network has a heat map."""
        return "heatmap" in self._has

    def explain(self, image: Image.Image) -> npt.NDArray[np.float32]:
        """Where in the image the network found reasons for each label.

        Returns:
            Shape (labels, h, w): what each place adds to the label's logit. It covers the square that the network
            sees, see `catdog.model.preprocessing.crop_box`; h and w are the feature map's, about 1/32 of its side.

        Raises:
            ModelError: the network has no heat map.
        """
        maps = self._output("heatmap", [preprocess(image, self.metadata.preprocessing)])
        return maps.reshape(maps.shape[1:])

    def features(self, inputs: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """What the network sees before it decides, for preprocessed images, each of shape (3, side, side).

        Returns:
            Shape (n, features).

        Raises:
            ModelError: the network does not give them.
        """
        return self._output(_FEATURES, inputs)

    def _output(self, name: str, inputs: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        if name not in self._has:
            raise ModelError(f"{ONNX_FILE} of {self.model_id} has no output named `{name}`. Export the model again.")
        return self._run([name], inputs)[name]

    def _run(self, names: Sequence[str], inputs: Sequence[npt.NDArray[np.float32]]) -> Outputs:
        return self._network.run(names, inputs[0][None] if len(inputs) == 1 else np.stack(inputs))

    def _predictions(self, outputs: Mapping[str, npt.NDArray[np.float32]]) -> list[Prediction]:
        scores = outputs.get("neither_score")
        return [
            self._prediction(row, None if scores is None else float(scores[index].item()))
            for index, row in enumerate(softmax(outputs["logits"]))
        ]

    def _prediction(self, probabilities: npt.NDArray[np.float64], neither_score: float | None) -> Prediction:
        rules = self.metadata.verdict
        verdict = Verdict(self.labels[int(probabilities.argmax())])
        if rules.neither and neither_score is not None and neither_score > rules.neither.max_score:
            verdict = NEITHER
        elif rules.unsure and probabilities.max() < rules.unsure.min_confidence:
            verdict = UNSURE
        return Prediction(
            labels=self.labels,
            probabilities=tuple(probabilities.tolist()),
            verdict=verdict,
            positive_label=self.metadata.positive_label,
            neither_score=neither_score,
            model_id=self.model_id,
            model_revision=self.revision,
        )

    def _check(self) -> None:
        """Run the network once: it must fit the metadata, and the first visitor should not pay for the warm-up."""
        side = self.metadata.preprocessing.input_size
        needed = ("logits", "neither_score") if self.metadata.verdict.neither else ("logits",)
        for name in needed:
            if name not in self._has:
                raise ModelError(
                    f"{ONNX_FILE} of {self.model_id} has no output named `{name}`. Export the model again."
                )
        features = [_FEATURES] if _FEATURES in self._has else []
        try:
            outputs = self._run([*self._outputs, *features], [np.zeros((3, side, side), dtype=np.float32)])
        except (*ORT_ERRORS, ValueError) as error:
            raise ModelError(f"{ONNX_FILE} of {self.model_id} does not run: {error}. Export the model again.") from None
        logits = outputs["logits"]
        if logits.shape != (1, len(self.labels)) or not np.isfinite(logits).all():
            raise ModelError(
                f"{ONNX_FILE} of {self.model_id} does not fit its {len(self.labels)} labels. Export the model again."
            )
        reference = self.metadata.drift_reference
        if features and reference and reference.projection:
            count = reference.projection.matrix.shape[1]
            if outputs[_FEATURES].shape != (1, count):
                raise ModelError(
                    f"The drift reference of {self.model_id} does not fit {ONNX_FILE}: its projection takes {count} "
                    f"features, and the network gives the shape {outputs[_FEATURES].shape[1:]}. "
                    "Export the model again."
                )


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Probabilities from logits, along the last axis."""
    shifted = np.exp((logits - logits.max(axis=-1, keepdims=True)).astype(np.float64))
    result: npt.NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return result

"""Features of pictures as they are served, and of random crops of them, from an ONNX network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from PIL import Image

from catdog.errors import DataError
from catdog.model.metadata import Preprocessing
from catdog.model.preprocessing import preprocess
from train.data.examples import map_rows
from train.data.source import Row, Source

_AREA = (0.4, 1.0)
_RATIO = (0.6, 1.6)


@dataclass(frozen=True, slots=True)
class Views:
    """Features of n pictures, each seen in one or more ways."""

    features: npt.NDArray[np.float32]
    """Shape (n, views, ...); the first view is the picture as it is served."""

    def __len__(self) -> int:
        return len(self.features)

    @property
    def served(self) -> npt.NDArray[np.float32]:
        """Shape (n, ...)."""
        return self.features[:, 0]

    @property
    def all(self) -> npt.NDArray[np.float32]:
        """Shape (n * views, ...)."""
        return self.features.reshape(-1, *self.features.shape[2:])

    def some(self, members: npt.NDArray[np.bool_]) -> "Views":
        """Only some pictures."""
        return Views(self.features[members])


def feature_function(network: onnx.ModelProto) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """From the network's only input to its only output, n rows each, on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(network.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def function(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        result: npt.NDArray[np.float32] = session.run(None, {name: pixels})[0]
        return result

    return function


def look_at(  # noqa: PLR0913 - each is one thing
    source: Source, rows: Sequence[int], network: onnx.ModelProto, spec: Preprocessing, *, crops: int, seed: int
) -> tuple[Views, npt.NDArray[np.int64]]:
    """Features of some rows; unreadable ones are left out.

    Args:
        source: The pictures.
        rows: Which.
        network: From `pixel_values` to features.
        spec: How a picture is served.
        crops: How many random crops of each besides.
        seed: For the crops.

    Returns:
        The features, and the labels of the rows that were not left out.

    Raises:
        DataError: no row can be read.
    """
    features = feature_function(network)

    def look(row: Row, image: Image.Image) -> tuple[npt.NDArray[np.float32], int]:
        generator = np.random.default_rng([seed, row.index])
        shown = [image, *(random_crop(image, generator) for _ in range(crops))]
        return features(np.stack([preprocess(each, spec) for each in shown])), int(row.label or 0)

    # The network runs in the decoding threads: only features are kept, not pixels.
    found = [result for result in map_rows(source, look, rows) if not isinstance(result, str)]
    if not found:
        raise DataError(f"{source.name} has no picture that can be read. Use a data set of images.")
    return Views(np.stack([seen for seen, _ in found])), np.array([label for _, label in found], dtype=np.int64)


def random_crop(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """A random part of the picture, stretched to a square and mirrored half of the time.

    Both the labels' own pictures and the others are treated so, or the shape of the pictures would tell them apart.
    """
    area = generator.uniform(*_AREA) * image.width * image.height
    ratio = float(np.exp(generator.uniform(*np.log(_RATIO))))
    width = max(1, min(image.width, round((area * ratio) ** 0.5)))
    height = max(1, min(image.height, round((area / ratio) ** 0.5)))
    left, top = (int(generator.integers(0, free + 1)) for free in (image.width - width, image.height - height))
    square = image.resize((256, 256), Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
    return square.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if generator.random() < 0.5 else square  # noqa: PLR2004

"""Many pictures at once: classifying them on every core."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image

from catdog.batch.collection import Picture
from catdog.batch.folder import path_text
from catdog.errors import ImageError, UnreadableImageError
from catdog.images.decode import ImageLimits, decode_image, decoded_side, read_image
from catdog.model.model import Model, Prediction

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one picture: a prediction, or the error that explains why there is none."""

    path: str
    """Bytes of it that are not UTF-8 are written as `\\xff`, in `name` too, so that every format can hold it."""
    row: int | None
    """If `path` is a Parquet file."""
    name: str
    outcome: Prediction | ImageError


def classify_pictures(
    model: Model, pictures: Iterable[Picture], *, limits: ImageLimits, workers: int | None = None
) -> Iterator[Result]:
    """Classify pictures side by side, in their order; memory does not grow with their number.

    Args:
        model: The model to ask.
        pictures: Those that cannot be read give an error each.
        limits: How large one image may be.
        workers: Threads; as many as there are cores if None.
    """
    side = decoded_side(model.metadata.preprocessing)

    def decode(picture: Picture) -> Image.Image:
        if picture.problem:
            raise UnreadableImageError(path_text(picture.problem))
        if picture.row is None and picture.data is None:
            return read_image(Path(picture.path), limits=limits, side=side)
        return decode_image(picture.data or b"", limits=limits, side=side)

    def classify(picture: Picture) -> Result:
        try:
            outcome: Prediction | ImageError = model.predict(decode(picture))
        except ImageError as error:
            outcome = error
        return Result(path_text(picture.path), picture.row, path_text(picture.name), outcome)

    return _map_in_order(classify, pictures, workers=workers or os.cpu_count() or 1)


def _map_in_order(function: Callable[[T], R], items: Iterable[T], *, workers: int) -> Iterator[R]:
    """`Executor.map` that reads `items` only as fast as results are taken."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

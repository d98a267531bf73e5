"""Many files at once: finding the images, and classifying them on every core."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from catdog.errors import ImageError
from catdog.images import ImageLimits, read_image
from catdog.model import Model, Prediction

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".avif", ".gif", ".bmp", ".heic", ".heif"})

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file: a prediction, or the error that explains why there is none."""

    path: Path
    outcome: Prediction | ImageError


def find_images(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and every file with an image's suffix in the folders named and below, sorted within a folder."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, subfolders, names in os.walk(path):
            subfolders.sort()
            yield from (Path(folder, name) for name in sorted(names) if Path(name).suffix.lower() in SUFFIXES)


def classify_files(
    model: Model, paths: Iterable[Path], *, limits: ImageLimits, workers: int | None = None
) -> Iterator[FileResult]:
    """Classify files side by side, in their order; memory does not grow with their number.

    Args:
        model: The model to ask.
        paths: Files; those that cannot be read give an error each.
        limits: How large one image may be.
        workers: Threads; as many as there are cores if None.
    """

    def classify(path: Path) -> FileResult:
        try:
            return FileResult(path, model.predict(read_image(path, limits=limits)))
        except ImageError as error:
            return FileResult(path, error)

    return _map_in_order(classify, paths, workers=workers or os.cpu_count() or 1)


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

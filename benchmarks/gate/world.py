"""The pictures of the simulation, and what the model says about them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from catdog.model.metadata import SPLITS_FILE
from catdog.model.model import Model
from catdog.model.preprocessing import preprocess
from train.data.examples import map_rows, read_examples
from train.data.source import Row, Source, open_source
from train.data.splits import read_manifest, seen_splits
from train.evaluation.distortions import DISTORTIONS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_COMPONENTS = 48
_WORSE_SHAPES = 3
_REPLAYED = 2000


@dataclass(frozen=True, slots=True)
class Pool:
    """What the model says about n pictures."""

    logits: Floats
    """Shape (n, labels)."""
    features: Floats
    labels: Ints
    kinds: Ints
    """Shape (n,): 0 as they are, else the number of the distortion."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Shape (n,): where the top label is the true one."""
        right: npt.NDArray[np.bool_] = self.logits.argmax(axis=1) == self.labels
        return right

    def take(self, index: Ints) -> "Pool":
        """Some of the pictures."""
        return Pool(self.logits[index], self.features[index], self.labels[index], self.kinds[index])


_Said = tuple[Floats, npt.NDArray[np.float32], int, int]
"""Logits, features, label and kind of a picture."""

Change = Callable[[Pool], Floats]
"""From pictures to the logits of another model, shape (n, labels)."""


@dataclass(frozen=True, slots=True)
class World:
    """The pictures of the simulation."""

    kept: Pool
    """Test and validation pictures of the model's own data."""
    replayed: Pool
    """Some of its training pictures."""
    answered: Pool
    """What people send: other pictures as they are, and each in three worse shapes."""


def collect(folder: Path, data: str, other: str, cache: Path) -> World:
    """Ask the model about all pictures, or read what it said before."""
    if not cache.is_file():
        model = Model.load(folder)
        own, others = (open_source(name).with_labels(model.labels) for name in (data, other))
        examples = read_examples(own)
        splits = seen_splits(examples.hashes, read_manifest(folder / SPLITS_FILE))
        train = examples.rows[splits == "train"][:_REPLAYED].tolist()
        found = {
            "kept": _ask(model, own, 0, examples.rows[splits != "train"].tolist()),
            "replayed": _ask(model, own, 0, train),
            "answered": [row for turn in range(1 + _WORSE_SHAPES) for row in _ask(model, others, turn)],
        }
        columns = {
            f"{name}_{i}": np.array(each)
            for name, rows in found.items()
            for i, each in enumerate(zip(*rows, strict=True))
        }
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, **columns)
    with np.load(cache, allow_pickle=False) as stored:
        pools = [Pool(*(stored[f"{name}_{i}"] for i in range(4))) for name in ("kept", "replayed", "answered")]
    return World(*_reduced(pools))


def _ask(model: Model, source: Source, turn: int, rows: Sequence[int] | None = None) -> list[_Said]:
    """Of each picture; in each turn but the first it is in another worse shape."""
    names = list(DISTORTIONS)

    def predict(row: Row, image: Image.Image) -> _Said:
        kind = 1 + (row.index + 2 * turn) % len(names) if turn else 0
        pixels = [preprocess(DISTORTIONS[names[kind - 1]](image) if kind else image, model.metadata.preprocessing)]
        probabilities = np.array(model.predict_batch(pixels)[0].probabilities)
        return np.log(np.maximum(probabilities, 1e-9)), model.features(pixels)[0], row.label or 0, kind

    return [found for found in map_rows(source, predict, rows) if not isinstance(found, str)]


def _reduced(pools: Sequence[Pool]) -> list[Pool]:
    """With the first principal components of the first pool's features instead, of unit variance."""
    first = pools[0].features
    mean = first.mean(axis=0)
    _, sizes, axes = np.linalg.svd(first - mean, full_matrices=False)
    scale = axes[:_COMPONENTS].T / sizes[:_COMPONENTS] * np.sqrt(len(first))
    return [Pool(each.logits, (each.features - mean) @ scale, each.labels, each.kinds) for each in pools]

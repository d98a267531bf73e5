"""What the layers before the head make of pictures, kept on disk: the next retraining begins where the pictures end.

A cached file belongs to one set of weights and one list of pictures; both are in its name. Several views of a picture,
random crops under slightly other light, are cached as well, so that what is learned from one answer holds for
pictures near to it.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper
from onnx.utils import Extractor
from PIL import Image, ImageEnhance
from torch import nn

from catdog.errors import DataError
from catdog.model.metadata import ONNX_FILE, Metadata
from catdog.model.preprocessing import preprocess
from train.data.alike import AS_IS, changed, summary
from train.data.examples import map_rows
from train.data.source import Row, Source
from train.network.backbone import TRUNK, BeforeHead
from train.network.export import PIXELS, exported
from train.ood.branch import FEATURES, trunk_shape
from train.ood.views import feature_function, random_crop

Maps = npt.NDArray[np.float16]
_Function = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]

CACHE_FOLDER = ".features"
_FORMAT = 2
"""Raise it when what is computed here changes."""
_LIGHT = (0.75, 1.25)
_KEPT_FILES = 24
_LAST = "last_map"
_HEAD_WEIGHT = "network.conv_head.weight"
_log = logging.getLogger(__name__)


class Layer(StrEnum):
    """What is asked about a picture."""

    LAST = "last"
    """The last map, see `BeforeHead`."""
    LOOK = "look"
    """How it looks to the network, early and late: one vector."""
    NEITHER = "neither"
    """The features of the rule for "neither": one vector."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """The layers of one model that retraining leaves as they are."""

    functions: Mapping[Layer, _Function]
    """Each from inputs (n, 3, side, side) to n rows."""
    metadata: Metadata
    cache: Path | None
    """A folder, made when it is needed; None keeps nothing."""

    @classmethod
    def of(cls, folder: Path, network: nn.Module, metadata: Metadata, *, cache: Path | None) -> "Backbone":
        """The backbone of a model folder.

        Args:
            folder: Its served file has the layers inside, if the network is a MobileNetV3.
            network: The same model for torch.
            metadata: Of the folder.
            cache: See the attribute.
        """
        served, side = onnx.load(folder / ONNX_FILE), metadata.preprocessing.input_size
        has_trunk = trunk_shape(served) is not None
        name = _name_of_last(served) if has_trunk else None
        last = feature_function(
            _cut(served, name) if name else exported(BeforeHead(network), (3, side, side), PIXELS, _LAST)
        )
        early = feature_function(_cut(served, TRUNK)) if has_trunk else last
        functions: dict[Layer, _Function] = {Layer.LAST: last, Layer.LOOK: partial(_look, early, last)}
        if any(FEATURES in node.output for node in served.graph.node):
            functions[Layer.NEITHER] = feature_function(_cut(served, FEATURES))
        return cls(functions, metadata, cache)

    def maps(  # noqa: PLR0913 - each is one thing
        self,
        source: Source,
        rows: Sequence[int],
        digests: Sequence[str],
        *,
        layer: Layer = Layer.LAST,
        views: int,
        what: str,
        ways: Sequence[str] = (),
    ) -> Maps:
        """What a layer makes of some rows of a data set, shape (n, views, ...); the first view is as the app sees it.

        Args:
            source: The pictures.
            rows: Which; all readable, at least one.
            digests: SHA-256 of each row's bytes.
            layer: Which.
            views: How many of each.
            what: What the pictures are, for the log.
            ways: How each is changed before it is seen, see `train.data.alike`; none are as they are.

        Raises:
            DataError: a picture cannot be read any more.
        """
        path = None if self.cache is None else self.cache / f"{self._key(digests, layer, views, ways)}.npy"
        if path is not None and (known := _read(path)) is not None:
            _log.info("%s: %d pictures, known already", what, len(rows))
            return known
        _log.info("%s: %d pictures pass the frozen layers", what, len(rows))
        how = dict(zip(rows, ways, strict=True)) if ways else {}
        function = self.functions[layer]
        found = list(
            map_rows(source, lambda row, image: self._see(function, row, image, views, how.get(row.index, AS_IS)), rows)
        )
        if reasons := [each for each in found if isinstance(each, str)]:
            raise DataError(f"A picture became unreadable while it was used: {reasons[0]}")
        maps: Maps = np.stack([each for each in found if not isinstance(each, str)])
        if path is not None:
            _write(path, maps)
        return maps

    def _see(self, function: _Function, row: Row, image: Image.Image, views: int, way: str) -> Maps:
        generator = np.random.default_rng([row.index, views])
        image = changed(image, way, generator)
        shown = [image, *(random_view(image, generator) for _ in range(views - 1))]
        # The network runs in the decoding threads: only maps are kept, not pixels. It sees one view at a time, since a
        # session keeps the memory of its largest batch.
        inputs = (preprocess(each, self.metadata.preprocessing)[None] for each in shown)
        return np.concatenate([function(each) for each in inputs]).astype(np.float16)

    def _key(self, digests: Sequence[str], layer: Layer, views: int, ways: Sequence[str]) -> str:
        model = [self.metadata.sha256(ONNX_FILE), self.metadata.preprocessing.model_dump()]
        about = [_FORMAT, *model, layer, views, *ways]
        return hashlib.sha256("".join([json.dumps(about), *digests]).encode()).hexdigest()[:32]


def _look(early: _Function, last: _Function, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Shape (n, d): means and deviations of the early maps, and means of the last ones."""
    looks = [summary(early(pixels)), last(pixels).mean(axis=(-2, -1))]
    return np.concatenate(looks, axis=1).astype(np.float32)


def _name_of_last(served: onnx.ModelProto) -> str | None:
    """What the means of the last map are called inside a served file; None if they cannot be found."""
    return next((node.input[0] for node in served.graph.node if _HEAD_WEIGHT in node.input[1:2]), None)


def _cut(served: onnx.ModelProto, output: str) -> onnx.ModelProto:
    """A served file up to one of its inner values."""
    typed = onnx.ModelProto()
    typed.CopyFrom(served)
    if all(value.name != output for value in typed.graph.value_info):
        typed.graph.value_info.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    part: onnx.ModelProto = Extractor(typed).extract_model([PIXELS], [output])
    return part


def random_view(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """A random part of a picture, under slightly other light."""
    part = random_crop(image, generator)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast):
        part = change(part).enhance(float(generator.uniform(*_LIGHT)))
    return part


def _read(path: Path) -> Maps | None:
    try:
        maps: Maps = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # none yet, or damaged: it is made again
    os.utime(path)
    return maps


def _write(path: Path, maps: Maps) -> None:
    """Keep maps, and as many older files as there is reason for; a cache that cannot be written is done without."""
    aside = path.with_suffix(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            np.save(file, maps)
        aside.replace(path)
        by_age = sorted(path.parent.glob("*.npy"), key=lambda each: each.stat().st_mtime)
        for old in by_age[:-_KEPT_FILES]:
            old.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("%s cannot be written (%s): nothing is cached", path.parent, error.strerror)
        aside.unlink(missing_ok=True)

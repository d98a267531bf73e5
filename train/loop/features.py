"""What the frozen layers make of pictures, kept on disk: retraining a second time begins where the pictures end.

A cached file belongs to one set of weights and one list of pictures; both are in its name. Several views of a picture,
random crops under slightly other light, are cached as well, so that what is learned from one answer holds for
pictures near to it.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper
from onnx.utils import Extractor
from PIL import Image, ImageEnhance
from torch import nn
from tqdm import tqdm

from catdog.errors import DataError, ImageError
from catdog.images.decode import decode_image
from catdog.model.metadata import ONNX_FILE, WEIGHTS_FILE, Metadata
from catdog.model.preprocessing import preprocess
from train.data.examples import map_rows
from train.data.source import Row, Source
from train.loop.cache import keep, load
from train.loop.style import Style
from train.network.backbone import FrozenPart, has_hidden_head
from train.network.export import PIXELS, exported
from train.ood.branch import FEATURES as RULE_FEATURES
from train.ood.branch import branch_of
from train.ood.views import random_crop

Features = npt.NDArray[np.float32]

_POOLED = "pooled"
_HIDDEN_WEIGHT = "conv_head.weight"
_FORMAT = 2
"""Raise it when what is computed here changes."""
_LIGHT = (0.75, 1.25)
_THREADS = min(4, os.cpu_count() or 1)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the frozen layers make of n pictures in some views each."""

    features: Features
    """Shape (n, views, width): for the classifier."""
    rule: Features
    """Shape (n, views, m): for the rule that says "neither"; m is 0 where nobody asked for it."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """The layers of one model that retraining leaves as they are."""

    function: Callable[[npt.NDArray[np.float32]], tuple[Features, Features]]
    """From inputs (n, 3, side, side) to features (n, width) and (n, m)."""
    metadata: Metadata
    with_rule: bool
    cache: Path | None
    """A folder, made when it is needed; None keeps nothing."""

    @classmethod
    def of(
        cls, folder: Path, network: nn.Module, metadata: Metadata, *, with_rule: bool, cache: Path | None
    ) -> "Backbone":
        """The backbone of a model folder.

        Args:
            folder: Its served file has the frozen layers inside, if the network is a MobileNetV3.
            network: The same model for torch.
            metadata: Of the folder.
            with_rule: Whether the rule's features are wanted; the folder has a rule then.
            cache: See the attribute.
        """
        return cls(_function(folder, network, metadata, with_rule=with_rule), metadata, with_rule, cache)

    def see(self, source: Source, rows: Sequence[int], digests: Sequence[str], *, views: int, what: str) -> Seen:
        """Features of some rows of a data set; the first view is as the app sees it.

        Args:
            source: The pictures.
            rows: Which; all readable, at least one.
            digests: SHA-256 of each row's bytes.
            views: How many of each.
            what: What the pictures are, for the log.

        Raises:
            DataError: a picture cannot be read any more.
        """

        def make() -> Seen:
            found = list(map_rows(source, lambda row, image: self._see(row, image, views), rows))
            if reasons := [each for each in found if isinstance(each, str)]:
                raise DataError(f"A picture became unreadable while it was used: {reasons[0]}")
            return _stacked([each for each in found if not isinstance(each, str)])

        return self._cached([str(views), *digests], make, f"{what}: {len(rows)} pictures")

    def styled(self, models: Sequence[bytes], old: Sequence[tuple[bytes, ...]]) -> Features:
        """Features of old pictures in the style of others.

        Args:
            models: n encoded pictures, at least one, whose style is taken.
            old: n times m encoded pictures that it is given to.

        Returns:
            Shape (n, m, width).

        Raises:
            DataError: a picture cannot be read any more.
        """

        def restyle(model: bytes, pictures: tuple[bytes, ...]) -> Seen:
            style = Style(decode_image(model))
            return self._pass([style.of(decode_image(each)) for each in pictures])

        def make() -> Seen:
            with ThreadPoolExecutor(_THREADS) as pool:
                done = pool.map(restyle, models, old)
                return _stacked(list(tqdm(done, total=len(models), desc="restyling", leave=False, disable=None)))

        digests = [hashlib.sha256(each).hexdigest() for pair in zip(models, old, strict=True) for each in _flat(pair)]
        count = sum(map(len, old))
        try:
            return self._cached(["style", *digests], make, f"{count} old pictures in the style of answers").features
        except ImageError as error:
            raise DataError(f"A picture became unreadable while it was used: {error}") from None

    def _cached(self, about: Sequence[str], make: Callable[[], Seen], what: str) -> Seen:
        path = None if self.cache is None else self.cache / f"{self._key(about)}.npz"
        if path is not None and (known := load(path)) is not None:
            _log.info("%s, known already", what)
            return Seen(known["features"], known["rule"])
        _log.info("%s pass the frozen layers", what)
        seen = make()
        if path is not None:
            keep(path, {"features": seen.features, "rule": seen.rule})
        return seen

    def _see(self, row: Row, image: Image.Image, views: int) -> Seen:
        generator = np.random.default_rng([row.index, views])
        return self._pass([image, *(random_view(image, generator) for _ in range(views - 1))])

    def _pass(self, shown: Sequence[Image.Image]) -> Seen:
        # The network runs in the decoding threads: only features are kept, not pixels.
        return Seen(*self.function(np.stack([preprocess(each, self.metadata.preprocessing) for each in shown])))

    def _key(self, about: Sequence[str]) -> str:
        model = [_FORMAT, self.metadata.sha256(WEIGHTS_FILE), self.metadata.preprocessing.model_dump(), self.with_rule]
        if self.with_rule:  # its branch is in the served file alone
            model.append(self.metadata.sha256(ONNX_FILE))
        return hashlib.sha256("\n".join([json.dumps(model), *about]).encode()).hexdigest()[:32]


def random_view(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """A random part of a picture, under slightly other light."""
    part = random_crop(image, generator)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast):
        part = change(part).enhance(float(generator.uniform(*_LIGHT)))
    return part


def _function(
    folder: Path, network: nn.Module, metadata: Metadata, *, with_rule: bool
) -> Callable[[npt.NDArray[np.float32]], tuple[Features, Features]]:
    served = onnx.load(folder / ONNX_FILE)
    pooled = _pooled_tensor(served) if has_hidden_head(network) else None
    wanted = [*([pooled] if pooled else []), *([RULE_FEATURES] if with_rule and branch_of(served) else [])]
    side = metadata.preprocessing.input_size
    parts = [_cut(served, wanted)] if wanted else []
    if not pooled:
        parts.insert(0, exported(FrozenPart(network), (3, side, side), PIXELS, _POOLED))
    sessions = [_session(each) for each in parts]

    def function(pixels: npt.NDArray[np.float32]) -> tuple[Features, Features]:
        found = [each.reshape(len(pixels), -1) for session in sessions for each in session.run(None, {PIXELS: pixels})]
        return found[0], found[1] if with_rule else np.empty((len(pixels), 0), dtype=np.float32)

    return function


def _pooled_tensor(served: onnx.ModelProto) -> str | None:
    """The name of what the served file's hidden head layer takes: the last map, averaged over places."""
    for node in served.graph.node:
        weight = node.input[1] if node.op_type == "Conv" else ""
        if weight.endswith(_HIDDEN_WEIGHT) and not weight.startswith("neither/"):
            return str(node.input[0])
    return None


def _cut(served: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """The part of a network from its input to some of its tensors."""
    known = {each.name for each in (*served.graph.value_info, *served.graph.output)}
    for name in set(outputs) - known:
        served.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return Extractor(served).extract_model([PIXELS], list(outputs))


def _session(part: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _flat(pair: tuple[bytes, tuple[bytes, ...]]) -> Iterator[bytes]:
    yield pair[0]
    yield from pair[1]


def _stacked(found: Sequence[Seen]) -> Seen:
    return Seen(np.stack([each.features for each in found]), np.stack([each.rule for each in found]))

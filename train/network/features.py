"""What the untouched starting network sees in every picture: the input of the linear models, computed once."""

import hashlib
import json
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from train.data.examples import Examples
from train.network.create import create_network, preprocessing
from train.network.inference import pixel_batches, pooled_features, run
from train.network.probe import Features

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A network whose weights stay as they are."""

    init: str
    """See `create_network`."""
    architecture: str = "tf_mobilenetv3_small_100"
    img_size: int = 256
    crop_pct: float = 0.95


def frozen_features(examples: Examples, frozen: Frozen, *, cache: Path | None = None) -> Features:
    """The pooled features before the last layer, shape (n, width), of every example.

    Args:
        examples: What to look at.
        frozen: The network.
        cache: An `.npz` file: read if it holds just these features, else written.

    Raises:
        SettingsError, ModelError, HubError: see `create_network`.
    """
    key = _key(examples, frozen)
    if cache is not None and (known := _read(cache, key)) is not None:
        _log.info("features: taken from %s", cache)
        return known
    network = create_network(frozen.architecture, labels=len(examples.source.labels), init=frozen.init).eval()
    spec = preprocessing(network, input_size=frozen.img_size, crop_pct=frozen.crop_pct)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = pixel_batches(examples.source, examples.rows.tolist(), spec)
    features = run(pooled_features(network), batches, spec, device=torch.device("cpu"))
    if cache is not None:
        np.savez(cache, features=features, key=np.array(key))
    return features


def _key(examples: Examples, frozen: Frozen) -> str:
    """What the features depend on: the pictures in their order, and the network."""
    weights = Path(frozen.init)
    digest = hashlib.sha256("".join(examples.digests).encode())
    if weights.is_file():
        digest.update(weights.read_bytes())
    return json.dumps([digest.hexdigest(), weights.name, frozen.architecture, frozen.img_size, frozen.crop_pct])


def _read(cache: Path, key: str) -> Features | None:
    try:
        with np.load(cache, allow_pickle=False) as stored:
            if str(stored["key"]) == key:
                features: Features = stored["features"]
                return features
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None  # none yet, or cut short: it is made again
    return None

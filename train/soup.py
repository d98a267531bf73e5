"""`python -m train soup`: one network whose weights are the mean of several that were fine-tuned apart.

It costs no more than one of them, and is usually better than each: runs that begin with the same weights end in
the same basin (Wortsman et al. 2022, "Model soups", arXiv:2203.05482).
"""

import copy
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from catdog.errors import SettingsError
from catdog.model.metadata import (
    METADATA_FILE,
    SPLITS_FILE,
    WEIGHTS_FILE,
    Metadata,
    Preprocessing,
    hash_file,
    load_metadata,
    verify_file,
)
from catdog.model.model import softmax
from train.data.examples import read_examples
from train.data.source import open_source
from train.data.splits import Divided, divide, read_manifest
from train.failures import clear_disk_errors
from train.metrics import Labels, log_loss
from train.model_folder.calibration import fit_temperature
from train.model_folder.write import Origin, write_model_folder
from train.network.create import classifier, create_network
from train.network.inference import pixel_batches, run

RECIPE = "soup"
Floats = npt.NDArray[np.float32]
_SHARES = (0.0, 0.25, 0.4, 0.55, 0.7)
_ASPECTS = (4 / 3, 3 / 4)
_SQUARE = (0.98, 1.02)
_log = logging.getLogger(__name__)
_MUST_BE_EQUAL: dict[str, Callable[[Metadata], object]] = {
    "architectures": lambda metadata: metadata.architecture,
    "labels": lambda metadata: (metadata.labels, metadata.positive_label),
    "preprocessing": lambda metadata: metadata.preprocessing,
    "splits": lambda metadata: metadata.sha256(SPLITS_FILE),
    # A file and its repository on the Hub have one name. Of what came from the Hub there is no hash.
    "starting weights": lambda metadata: Path(metadata.training["init"]["name"]).name.removesuffix(".safetensors"),
}


def soup(
    members: Sequence[Path], data: str, *, out: Path, revision: str | None = None, choose_share: bool = False
) -> Path:
    """Average the weights of several model folders; the result is calibrated and scored as after `fit`.

    Args:
        members: Model folders of one architecture, with the same labels, preprocessing, split and starting weights.
        data: What they were trained with: a Hub data set or a folder.
        out: The folder to make. Until it is complete there is none.
        revision: Of `data`.
        choose_share: Not all count the same: the last one's share is chosen by validation, see `_choose_share`.

    Raises:
        SettingsError: the members do not fit together, or `out` exists already.
        DataError: the data cannot be used, or the disk is full.
        ModelError, HubError: a member is damaged; see also `open_source`.
    """
    if out.exists():
        raise SettingsError(f"{out} exists already. Choose another --out, or delete it.")
    described = [_load(member) for member in members]
    _require_alike(members, described)
    first = described[0]
    networks = [_network(member, metadata) for member, metadata in zip(members, described, strict=True)]
    examples = read_examples(open_source(data, revision=revision).with_labels(first.labels))
    divided = divide(examples, seed=first.seed or 0, manifest=read_manifest(members[0] / SPLITS_FILE))
    shares = [1 / len(networks)] * len(networks)
    if choose_share:
        shares = _choose_share(networks, divided, first.preprocessing)
    network = average(networks, shares)
    origin = Origin(
        init=str(first.training["init"]["name"]),
        init_sha256=first.training["init"]["sha256"],
        license=_license(described),
        positive_label=first.positive_label,
        recipe=RECIPE,
        seed=first.seed or 0,
        settings={
            "members": [
                {**_about(member, each), "share": round(share, 4)}
                for member, each, share in zip(members, described, shares, strict=True)
            ]
        },
    )
    work = out.with_name(f"{out.name}.partial")
    with clear_disk_errors(out):
        write_model_folder(work, network, divided, first.preprocessing, origin)
        work.rename(out)
    return out


def _license(members: Sequence[Metadata]) -> str | None:
    """What all members agree on."""
    said = {each.training.get("license") for each in members}
    return said.pop() if len(said) == 1 else None


def average(networks: Sequence[nn.Module], shares: Sequence[float] | None = None) -> nn.Module:
    """The mean of every weight and statistic, in a new network; counters are the first one's.

    Args:
        networks: Of one architecture.
        shares: How much each counts, together 1; None is the same for all.
    """
    shares = shares or [1 / len(networks)] * len(networks)
    states = [network.state_dict() for network in networks]
    mean = {
        name: torch.stack([share * state[name] for share, state in zip(shares, states, strict=True)]).sum(dim=0)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }
    result = copy.deepcopy(networks[0])
    result.load_state_dict(mean)
    return result.eval()


def _choose_share(networks: Sequence[nn.Module], data: Divided, spec: Preprocessing) -> list[float]:
    """The last network's share against the mean of the others: the one with the lowest validation log loss.

    The pictures are scored in the shapes that photos have: data sets squeeze theirs, people do not.
    """
    others = average(networks[:-1])
    rows, labels = data.rows("validation"), data.labels("validation")
    pictures = [
        list(pixel_batches(data.examples.source, rows, spec, change=partial(_reshape, aspect=aspect)))
        for aspect in _ASPECTS
    ]
    losses = {}
    for share in _SHARES:
        network = average([others, networks[-1]], [1 - share, share]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        logits = [run(network, batches, spec, device=torch.device("cpu")) for batches in pictures]
        losses[share] = float(np.mean([_calibrated_loss(each, labels) for each in logits]))
        _log.info("share %.2f of the last: validation log loss %.4f", share, losses[share])
    best = min(losses, key=lambda share: losses[share])
    return [*([(1 - best) / (len(networks) - 1)] * (len(networks) - 1)), best]


def _calibrated_loss(logits: Floats, labels: Labels) -> float:
    return log_loss(softmax(logits / np.float32(fit_temperature(logits, labels))), labels)


def _reshape(image: Image.Image, *, aspect: float) -> Image.Image:
    """A square picture as wide, or as high, as photos are; others stay as they are."""
    if not _SQUARE[0] <= image.width / image.height <= _SQUARE[1]:
        return image
    long = round(max(image.size) * max(aspect, 1 / aspect))
    return image.resize((long, image.height) if aspect > 1 else (image.width, long), Image.Resampling.BICUBIC)


def _load(folder: Path) -> Metadata:
    metadata = load_metadata(folder)
    for path in (WEIGHTS_FILE, SPLITS_FILE):
        verify_file(folder, metadata, path)
    return metadata


def _network(folder: Path, metadata: Metadata) -> nn.Module:
    """A member as it came out of training: its temperature belongs to it alone."""
    network = create_network(metadata.architecture, labels=len(metadata.labels), init=str(folder / WEIGHTS_FILE))
    with torch.no_grad():
        for parameter in classifier(network).parameters():
            parameter.mul_(metadata.temperature)
    return network


def _require_alike(members: Sequence[Path], described: Sequence[Metadata]) -> None:
    if len(members) < 2:  # noqa: PLR2004 - a mean of one is that one
        raise SettingsError("A soup needs at least two model folders. Name each with --model.")
    if len({metadata.training["init"]["sha256"] for metadata in described} - {None}) > 1:
        raise SettingsError(
            "The models have different starting weights, so their mean means nothing. Name models that were fitted "
            "from the same file."
        )
    for member, metadata in zip(members[1:], described[1:], strict=True):
        for name, of in _MUST_BE_EQUAL.items():
            if of(metadata) != of(described[0]):
                raise SettingsError(
                    f"{member} and {members[0]} have different {name}, so their mean means nothing. Name models that "
                    "were fitted to the same data and split, from the same weights."
                )


def _about(folder: Path, metadata: Metadata) -> dict[str, Any]:
    """For the record."""
    return {
        "name": folder.resolve().name,
        "sha256": hash_file(folder / METADATA_FILE),
        "recipe": metadata.training["recipe"],
        "settings": metadata.training["settings"],
        "overlay": metadata.training.get("overlay"),
        "validation": {name: metadata.metrics["validation"][name] for name in ("accuracy", "log_loss")},
    }

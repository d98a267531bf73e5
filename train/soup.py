"""`python -m train soup`: one network whose weights are the mean of several that were fine-tuned apart.

It costs no more than one of them, and is usually better than each: runs that begin with the same weights end in
the same basin (Wortsman et al. 2022, "Model soups", arXiv:2203.05482).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from catdog.errors import SettingsError
from catdog.model.metadata import (
    METADATA_FILE,
    SPLITS_FILE,
    WEIGHTS_FILE,
    Metadata,
    hash_file,
    load_metadata,
    verify_file,
)
from train.data.examples import read_examples
from train.data.source import open_source
from train.data.splits import divide, read_manifest
from train.model_folder.write import Origin, write_model_folder
from train.network.create import classifier, create_network
from train.network.export import clear_disk_errors

RECIPE = "soup"
_MUST_BE_EQUAL: dict[str, Callable[[Metadata], object]] = {
    "architectures": lambda metadata: metadata.architecture,
    "labels": lambda metadata: (metadata.labels, metadata.positive_label),
    "preprocessing": lambda metadata: metadata.preprocessing,
    "splits": lambda metadata: metadata.sha256(SPLITS_FILE),
    # A file and its repository on the Hub have one name. Of what came from the Hub there is no hash.
    "starting weights": lambda metadata: Path(metadata.training["init"]["name"]).name.removesuffix(".safetensors"),
}


def soup(members: Sequence[Path], data: str, *, out: Path, revision: str | None = None) -> Path:
    """Average the weights of several model folders; the result is calibrated and scored as after `fit`.

    Args:
        members: Model folders of one architecture, with the same labels, preprocessing, split and starting weights.
        data: What they were trained with: a Hub data set or a folder.
        out: The folder to make. Until it is complete there is none.
        revision: Of `data`.

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
    network = average([_network(member, metadata) for member, metadata in zip(members, described, strict=True)])
    examples = read_examples(open_source(data, revision=revision).with_labels(first.labels))
    divided = divide(examples, seed=first.seed or 0, manifest=read_manifest(members[0] / SPLITS_FILE))
    origin = Origin(
        init=str(first.training["init"]["name"]),
        init_sha256=first.training["init"]["sha256"],
        positive_label=first.positive_label,
        recipe=RECIPE,
        seed=first.seed or 0,
        settings={"members": [_about(member, each) for member, each in zip(members, described, strict=True)]},
    )
    work = out.with_name(f"{out.name}.partial")
    with clear_disk_errors(out):
        write_model_folder(work, network, divided, first.preprocessing, origin)
        work.rename(out)
    return out


def average(networks: Sequence[nn.Module]) -> nn.Module:
    """The mean of every weight and statistic; counters are the first network's, which is changed and returned."""
    states = [network.state_dict() for network in networks]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }
    networks[0].load_state_dict(mean)
    return networks[0].eval()


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

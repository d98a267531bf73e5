"""A network in two: the trunk, whose maps tell about any picture, and the branch, which makes of them an answer.

Early layers change little in fine-tuning, so that one trunk serves two branches: the classifier's own, and one that
keeps what the network knew before.
"""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import torch
from timm.models.mobilenetv3 import MobileNetV3
from torch import nn
from torch.nn import functional

TRUNK = "trunk"
"""The name of the trunk's maps in an ONNX file."""
STAGES = 4
"""So many of a MobileNetV3's stages are the trunk's: most of the small one's time, and few of its weights."""


def has_trunk(network: nn.Module) -> bool:
    """Whether the network is built as MobileNetV3 is: a stem, and more stages than a trunk has."""
    blocks = getattr(network, "blocks", None)
    return hasattr(network, "conv_stem") and isinstance(blocks, nn.Sequential) and len(blocks) > STAGES


def trunk_maps(network: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Shape (n, channels, h, w), of a network that `has_trunk`."""
    maps: torch.Tensor = network.blocks[:STAGES](network.bn1(network.conv_stem(pixels)))  # type: ignore[operator, index]
    return maps


def branch_maps(network: nn.Module, maps: torch.Tensor) -> torch.Tensor:
    """The last feature map, from the trunk's; together they are timm's `forward_features`."""
    last: torch.Tensor = network.blocks[STAGES:](maps)  # type: ignore[operator, index]
    return last


def freeze_trunk(network: nn.Module) -> None:
    """Keep the trunk as it is in training; its normalisation must be frozen too, see timm's `freeze_batch_norm_2d`."""
    for part in (network.conv_stem, network.bn1, network.blocks[:STAGES]):  # type: ignore[index]
        part.requires_grad_(False)


class FrozenPart(nn.Module):
    """The layers that a few answers cannot teach anything: all but the head, with the last map averaged over places."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Shape (n, width), from (n, 3, side, side)."""
        maps: torch.Tensor = self.network.forward_features(pixels)  # type: ignore[operator]
        if has_hidden_head(self.network):
            return maps.mean(dim=(2, 3))
        features: torch.Tensor = self.network.forward_head(maps, pre_logits=True)  # type: ignore[operator]
        return features


def has_hidden_head(network: nn.Module) -> bool:
    """Whether a hidden layer follows the mean over places, as in MobileNetV3; its weights are `conv_head`'s."""
    pool = getattr(network, "global_pool", None)
    return isinstance(network, MobileNetV3) and getattr(pool, "pool_type", None) == "avg"


def head_logits(network: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """Shape (n, labels), from what `FrozenPart` gave."""
    if has_hidden_head(network):
        # As a matrix product: a convolution of one place takes several times as long.
        layer: nn.Conv2d = network.conv_head  # type: ignore[assignment]
        hidden = functional.linear(features, layer.weight.flatten(1), layer.bias)[:, :, None, None]
        features = network.act2(network.norm_head(hidden)).flatten(1)  # type: ignore[operator]
    last: torch.Tensor = network.get_classifier()(features)  # type: ignore[operator]
    return last


def head_modules(network: nn.Module) -> list[nn.Module]:
    """The modules that `head_logits` passes and that have weights."""
    hidden: list[nn.Module] = [network.conv_head] if has_hidden_head(network) else []  # type: ignore[list-item]
    return [*hidden, network.get_classifier()]  # type: ignore[operator]

"""A network in two: the trunk, whose maps tell about any picture, and the branch, which makes of them an answer.

Early layers change little in fine-tuning, so that one trunk serves two branches: the classifier's own, and one that
keeps what the network knew before.
"""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import torch
from torch import nn

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
    """The layers that a few answers cannot teach anything: the trunk, or all features where a network has none."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Shape (n, channels, h, w), from (n, 3, side, side)."""
        if has_trunk(self.network):
            return trunk_maps(self.network, pixels)
        maps: torch.Tensor = self.network.forward_features(pixels)  # type: ignore[operator]
        return maps


def late_logits(network: nn.Module, maps: torch.Tensor) -> torch.Tensor:
    """Shape (n, labels), from what `FrozenPart` gave, or from the last feature map, averaged over places or not."""
    features = maps if _is_last(network, maps) else branch_maps(network, maps)
    logits: torch.Tensor = network.forward_head(features)  # type: ignore[operator]
    return logits


def last_features(network: nn.Module, maps: torch.Tensor) -> torch.Tensor:
    """The last feature map, averaged over places: shape (n, features), from what `FrozenPart` gave."""
    last = maps if _is_last(network, maps) else branch_maps(network, maps)
    return last.mean(dim=tuple(range(2, last.ndim)))


def _is_last(network: nn.Module, maps: torch.Tensor) -> bool:
    """Whether nothing but the head is still to come."""
    return not has_trunk(network) or maps.shape[1] == network.conv_head.in_channels  # type: ignore[union-attr]


def late_modules(network: nn.Module, depth: str = "late") -> list[nn.Module]:
    """The modules that `late_logits` passes, from `depth` on."""
    head: list[nn.Module] = [network.get_classifier()]  # type: ignore[operator]
    if depth != "classifier" and isinstance(getattr(network, "conv_head", None), nn.Module):
        head.append(network.conv_head)  # type: ignore[arg-type]
    if depth == "last":
        head.append(network.blocks[-1])  # type: ignore[index, arg-type]
    if depth == "late" and has_trunk(network):
        head.append(network.blocks[STAGES:])  # type: ignore[index, arg-type]
    return head

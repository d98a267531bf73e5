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


class BeforeHead(nn.Module):
    """All layers before the head, which are more than a few answers can teach."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The last map, from pixels of shape (n, 3, side, side).

        Shape (n, channels, 1, 1) where the network `has_trunk`, since its head begins with the mean over all places;
        else (n, channels, h, w).
        """
        maps: torch.Tensor = self.network.forward_features(pixels)  # type: ignore[operator]
        return maps.mean(dim=(2, 3), keepdim=True) if has_trunk(self.network) else maps


def head_logits(network: nn.Module, last: torch.Tensor) -> torch.Tensor:
    """Shape (n, labels), from what `BeforeHead` gave."""
    logits: torch.Tensor = network.forward_head(last)  # type: ignore[operator]
    return logits


def head_modules(network: nn.Module) -> list[nn.Module]:
    """The modules with weights that `head_logits` passes."""
    head: list[nn.Module] = [network.get_classifier()]  # type: ignore[operator]
    convolution = getattr(network, "conv_head", None)
    if isinstance(convolution, nn.Module):
        head.append(convolution)
    return head

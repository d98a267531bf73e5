"""Where a network looked: HiResCAM, computed inside the exported graph, so that serving needs no gradients."""

import torch
from torch import nn

OUTPUT = "heatmap"


def can_explain(network: nn.Module) -> bool:
    """Whether the network ends as MobileNetV3 does: mean over the map, 1 x 1 convolution, hard swish, linear layer."""
    convolution = getattr(network, "conv_head", None)
    return (
        isinstance(convolution, nn.Conv2d)
        and convolution.kernel_size == (1, 1)
        and convolution.groups == 1
        and isinstance(getattr(network, "norm_head", None), nn.Identity)
        and isinstance(getattr(network, "act2", None), nn.Hardswish)
        and getattr(getattr(network, "global_pool", None), "pool_type", None) == "avg"
        and isinstance(getattr(network, "classifier", None), nn.Linear)
    )


def hirescam(network: nn.Module, maps: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """What each place of the last feature map added to each logit (Draelos and Carin 2020, arXiv:2011.08891).

    The gradient of the logit times the feature map, summed over channels. The gradient of this head has a closed form:
    it is the same at every place, because the head begins with the mean over all places.

    Args:
        network: One that `can_explain`.
        maps: Shape (n, channels, h, w): what `forward_features` gave.
        hidden: Shape (n, features): what `hidden_features` gave.

    Returns:
        Shape (n, labels, h, w), in units of the logit; larger speaks more for the label.
    """
    reduce: torch.Tensor = network.conv_head.weight.flatten(1)  # type: ignore[operator, union-attr] # (features, channels)
    labels: torch.Tensor = network.classifier.weight.unsqueeze(0)  # type: ignore[operator, union-attr]
    gradient = (labels * _hardswish_gradient(hidden).unsqueeze(1)) @ reduce  # (n, labels, channels), by the mean
    height, width = maps.shape[2:]
    products = gradient @ maps.flatten(2)
    return products.reshape(-1, gradient.shape[1], height, width) / (height * width)


def hidden_features(network: nn.Module, maps: torch.Tensor) -> torch.Tensor:
    """The features before the hard swish, shape (n, features), of a network that `can_explain`."""
    hidden: torch.Tensor = network.conv_head(network.global_pool(maps)).flatten(1)  # type: ignore[operator]
    return hidden


def _hardswish_gradient(x: torch.Tensor) -> torch.Tensor:
    """Of x * clip(x + 3, 0, 6) / 6."""
    slope = x / 3 + 0.5
    return torch.where(x <= -3, torch.zeros_like(x), torch.where(x >= 3, torch.ones_like(x), slope))  # noqa: PLR2004

"""Where a network looked: HiResCAM, computed inside the exported graph, so that serving needs no gradients."""

import torch
from torch import nn
from torch.nn import functional

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


def hirescam(network: nn.Module, maps: torch.Tensor) -> torch.Tensor:
    """What each place of the last feature map added to each logit (Draelos and Carin 2020, arXiv:2011.08891).

    The gradient of the logit times the feature map, summed over channels. The gradient of this head has a closed form:
    it is the same at every place, because the head begins with the mean over all places.

    Args:
        network: One that `can_explain`.
        maps: Shape (n, channels, h, w): what `forward_features` gave.

    Returns:
        Shape (n, labels, h, w), in units of the logit; larger speaks more for the label.
    """
    convolution, linear = network.conv_head, network.classifier
    reduce = convolution.weight.flatten(1)  # type: ignore[operator, union-attr] # (features, channels)
    hidden = functional.linear(maps.mean(dim=(2, 3)), reduce, convolution.bias)  # type: ignore[arg-type, union-attr]
    through = linear.weight.unsqueeze(0) * _hardswish_gradient(hidden).unsqueeze(1)  # type: ignore[operator, union-attr]
    gradient = through @ reduce  # (n, labels, channels), of the logit by the mean
    height, width = maps.shape[2:]
    return (gradient @ maps.flatten(2)).unflatten(2, (height, width)) / (height * width)


def _hardswish_gradient(x: torch.Tensor) -> torch.Tensor:
    """Of x * clip(x + 3, 0, 6) / 6."""
    slope = x / 3 + 0.5
    return torch.where(x <= -3, torch.zeros_like(x), torch.where(x >= 3, torch.ones_like(x), slope))  # noqa: PLR2004

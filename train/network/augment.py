"""Augmentation of whole batches: one affine resampling and a few colour operations, each picture with its own draw.

torchvision's transforms draw once per call, so a batch would get one crop and one colour for all; called per picture
they cost more than the network does. What they do well on batches (mixing pictures) is left to them.
"""

import train.network.torchvision_operators  # noqa: F401 - must come before timm and torchvision

# isort: split
import math
from dataclasses import dataclass

import torch
from torch.nn import functional
from torchvision.transforms import v2

from train.options import Augmentation

_ZOOM = (0.85, 1.0)  # of the sides of a fixed view
_AT_ONCE = 8  # pictures; few enough to stay in the processor's cache from one operation to the next


def augment(
    squares: torch.Tensor, aspects: torch.Tensor, *, side: int, how: Augmentation, theta: torch.Tensor | None = None
) -> torch.Tensor:
    """Random crops, flips, rotations and colours.

    Args:
        squares: uint8 (n, 3, any, any): pictures squeezed to squares.
        aspects: Shape (n,): width by height before that.
        side: Height and width of the result.
        how: The limits.
        theta: Shape (n, 2, 3): fixed views instead of random ones, see `draw_views`; each is
            varied so little that what was said of it still holds.

    Returns:
        float32 (n, 3, side, side) in [0, 1], channels last in memory.
    """
    n, device = len(squares), squares.device
    theta = _affine(aspects, how) if theta is None else _varied(theta)
    colours, coarse = _colours(n, how, device), _coarse(n, how, device)
    result = torch.empty(n, 3, side, side, device=device, memory_format=torch.channels_last)
    for start in range(0, n, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        pixels = resample(squares[part], theta[part], side=side)
        pixels = _recolour(pixels, *(each[part] for each in colours))
        result[part] = _coarsen(pixels, coarse.chosen[part], coarse.scale)
    return result


def draw_views(aspects: torch.Tensor, how: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Random crops, flips and rotations of pictures with these aspects, shape (n, 2, 3), for `resample`."""
    return _affine(aspects, how, generator)


def resample(squares: torch.Tensor, theta: torch.Tensor, *, side: int) -> torch.Tensor:
    """The views `theta` of uint8 squares: float32 (n, 3, side, side) in [0, 1]."""
    pixels = squares.to(torch.float32).div_(255.0)
    grid = functional.affine_grid(theta, [len(pixels), 3, side, side], align_corners=False)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def mix(
    pixels: torch.Tensor, labels: torch.Tensor, *, classes: int, how: Augmentation
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixup on some batches; labels become rows of shares, shape (n, classes)."""
    if how.mixup > 0 and torch.rand(()) < how.mix_share:
        mixed, shares = v2.MixUp(alpha=how.mixup, num_classes=classes)(pixels, labels)
        return mixed.contiguous(memory_format=torch.channels_last), shares
    return pixels, functional.one_hot(labels, classes).to(torch.float32)


def _affine(aspects: torch.Tensor, how: Augmentation, generator: torch.Generator | None = None) -> torch.Tensor:
    """From the result's coordinates to the square's, both -1 to 1; shape (n, 2, 3).

    Crops that would be wider or higher than the picture are cut to it.
    """
    n, device = len(aspects), aspects.device
    area = _uniform(n, *how.area, device, generator)
    ratio = torch.exp(_uniform(n, math.log(how.ratio[0]), math.log(how.ratio[1]), device, generator)) / aspects
    width = torch.sqrt(area * ratio).clamp(max=1.0)
    height = torch.sqrt(area / ratio).clamp(max=1.0)
    angle = torch.deg2rad(_uniform(n, -how.degrees, how.degrees, device, generator))
    shear = _uniform(n, -how.shear, how.shear, device, generator)
    flip = torch.where(torch.rand(n, device=device, generator=generator) < 0.5, -1.0, 1.0)  # noqa: PLR2004
    cos, sin = torch.cos(angle), torch.sin(angle)
    theta = torch.empty(n, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 0, 1] = flip * width * cos, width * (shear - sin)
    theta[:, 1, 0], theta[:, 1, 1] = flip * height * sin, height * cos
    theta[:, 0, 2] = _uniform(n, -1, 1, device, generator) * (1 - width)
    theta[:, 1, 2] = _uniform(n, -1, 1, device, generator) * (1 - height)
    return theta


def _varied(theta: torch.Tensor) -> torch.Tensor:
    """Views that are nearly the same: half of them mirrored, all cut a little smaller."""
    n, device = len(theta), theta.device
    zoom = _uniform(n, *_ZOOM, device)
    shift = torch.stack([_uniform(n, -1, 1, device), _uniform(n, -1, 1, device)], dim=1) * (1 - zoom)[:, None]
    varied = theta.clone()
    varied[:, :, 2] += (theta[:, :, :2] @ shift[:, :, None])[:, :, 0]
    varied[:, :, :2] *= zoom[:, None, None]
    varied[:, :, 0] *= torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)[:, None]  # noqa: PLR2004
    return varied


@dataclass(frozen=True, slots=True)
class _Coarse:
    chosen: torch.Tensor
    """Shape (n,), bool."""
    scale: float
    """What is left of their side."""


def _colours(n: int, how: Augmentation, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Saturation, contrast and brightness as factors, shape (n, 1, 1, 1) each."""
    saturation = _factor(n, how.saturation, device)
    saturation[torch.rand(n, device=device) < how.grey] = 0.0
    return saturation, _factor(n, how.contrast, device), _factor(n, how.brightness, device)


def _coarse(n: int, how: Augmentation, device: torch.device) -> _Coarse:
    chosen = torch.rand(n, device=device) < how.coarse
    return _Coarse(chosen, float(torch.empty(()).uniform_(0.25, 0.7)) if chosen.any() else 1.0)


def _recolour(
    pixels: torch.Tensor, saturation: torch.Tensor, contrast: torch.Tensor, brightness: torch.Tensor
) -> torch.Tensor:
    """Saturation, contrast and brightness as one scale and one offset each, in place."""
    grey = 0.299 * pixels[:, 0:1] + 0.587 * pixels[:, 1:2] + 0.114 * pixels[:, 2:3]
    gain = contrast * brightness
    offset = grey.mean(dim=(2, 3), keepdim=True) * (1 - contrast) * brightness
    return pixels.mul_(saturation * gain).add_(grey.mul_((1 - saturation) * gain).add_(offset)).clamp_(0.0, 1.0)


def _coarsen(pixels: torch.Tensor, chosen: torch.Tensor, scale: float) -> torch.Tensor:
    """Shrink and enlarge some of the pictures, in place."""
    if chosen.any():
        side = pixels.shape[-1]
        small = functional.interpolate(pixels[chosen], scale_factor=scale, mode="bilinear", antialias=True)
        pixels[chosen] = functional.interpolate(small, size=(side, side), mode="bilinear").clamp_(0.0, 1.0)
    return pixels


def _uniform(
    n: int, low: float, high: float, device: torch.device, generator: torch.Generator | None = None
) -> torch.Tensor:
    return torch.empty(n, device=device).uniform_(low, high, generator=generator)


def _factor(n: int, spread: float, device: torch.device) -> torch.Tensor:
    return _uniform(n, 1 - spread, 1 + spread, device).view(n, 1, 1, 1)

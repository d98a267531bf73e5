from dataclasses import replace

import numpy as np
import pytest
import torch

from train.network.augment import augment, mix
from train.options import Augmentation

STILL = Augmentation(
    area=(1.0, 1.0), ratio=(1.0, 1.0), degrees=0, shear=0, brightness=0, contrast=0, saturation=0, grey=0, coarse=0
)


def ramp(n: int = 4, side: int = 40) -> torch.Tensor:
    """Pictures that get brighter to the right, with something red at the top."""
    pixels = torch.linspace(0, 255, side).expand(n, 3, side, side).clone()
    pixels[:, 1:, : side // 4] = 0
    return pixels.to(torch.uint8)


def test_without_changes_a_picture_is_kept_or_mirrored() -> None:
    squares = ramp()
    result = augment(squares, torch.ones(4), side=40, how=STILL)
    for got, square in zip(result, squares.float() / 255, strict=True):
        assert min((got - square).abs().max(), (got - square.flip(-1)).abs().max()) < 1e-4


def test_both_mirror_images_occur() -> None:
    torch.manual_seed(0)
    result = augment(ramp(64), torch.ones(64), side=16, how=STILL)
    brighter_right = (result[..., -1].mean(dim=(1, 2)) > result[..., 0].mean(dim=(1, 2))).float().mean()
    assert 0.2 < brighter_right < 0.8


def test_results_have_the_asked_size_and_range() -> None:
    result = augment(ramp(8), torch.full((8,), 1.5), side=24, how=Augmentation(coarse=1.0))
    assert result.shape == (8, 3, 24, 24)
    assert 0 <= float(result.min()) <= float(result.max()) <= 1
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("aspect", "width"), [(2.0, 0.316), (0.5, 0.632), (1.0, 0.447)])
def test_a_crop_is_square_in_the_picture_before_it_was_squeezed(aspect: float, width: float) -> None:
    result = augment(ramp(32), torch.full((32,), aspect), side=40, how=replace(STILL, area=(0.2, 0.2)))
    bottom = result[:, 0, -1, :]
    assert float((bottom.max(dim=1).values - bottom.min(dim=1).values).mean()) == pytest.approx(width, abs=0.03)


def test_every_picture_gets_its_own_draw() -> None:
    torch.manual_seed(1)
    result = augment(ramp(16), torch.ones(16), side=16, how=Augmentation())
    assert len(torch.unique(result.flatten(1), dim=0)) == 16


def test_the_same_seed_draws_the_same() -> None:
    results = []
    for _ in range(2):
        torch.manual_seed(7)
        results.append(augment(ramp(), torch.ones(4), side=16, how=Augmentation()))
    assert torch.equal(*results)


def test_mixing_keeps_shares_of_one() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 2, 1])
    _, shares = mix(torch.rand(4, 3, 8, 8), labels, classes=3, how=Augmentation(mix_share=1.0))
    np.testing.assert_allclose(shares.sum(dim=1), 1, atol=1e-6)
    assert ((shares > 0) & (shares < 1)).any()
    _, plain = mix(torch.rand(4, 3, 8, 8), labels, classes=3, how=Augmentation(mix_share=0.0))
    assert plain.argmax(dim=1).tolist() == labels.tolist()

"""Kinds of picture that the gate looks at one by one."""

import numpy as np
from PIL import Image, ImageFilter

from catdog.images.traits import measure
from train.evaluation.slices import find_slices


def noise(seed: int, size: tuple[int, int] = (200, 200)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (50, 50, 3)).astype(np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)


def test_each_trait_finds_its_pictures() -> None:
    pictures = [noise(seed) for seed in range(20)]
    pictures[1] = pictures[1].point(lambda value: value // 5)
    pictures[2] = pictures[2].convert("L").convert("RGB")
    pictures[3] = pictures[3].filter(ImageFilter.GaussianBlur(4))
    pictures[4] = noise(4, (90, 90))
    pictures[5] = noise(5, (600, 200))
    labels = np.array([0, 1] * 10)
    slices = find_slices([measure(picture) for picture in pictures], labels, ("cat", "dog"), share=0.01)
    assert {name: mask.nonzero()[0].tolist() for name, mask in slices.items() if not name.startswith("label")} == {
        "darkest": [1],
        "flattest": [1],
        "least colourful": [2],
        "most blurred": [3],
        "smallest": [4],
        "most oblong": [5],
    }
    assert slices["label dog"].tolist() == [False, True] * 10


def test_a_trait_that_all_share_gives_no_slice() -> None:
    slices = find_slices([measure(noise(seed)) for seed in range(30)], np.zeros(30, dtype=np.int64), ("cat", "dog"))
    assert "smallest" not in slices
    assert int(slices["darkest"].sum()) == 3
    assert int(slices["label dog"].sum()) == 0

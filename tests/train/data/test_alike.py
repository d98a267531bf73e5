"""What pictures look like is told by old ones that were changed in known ways."""

from functools import cache

import numpy as np
import pytest
from PIL import Image

from tests.train.pictures import LABELS, picture
from train.data.alike import AS_IS, WAYS, changed, find_ways, summary
from train.metrics import Floats

EACH = 48


def photo(seed: int, size: tuple[int, int] = (60, 44)) -> Image.Image:
    """With grain, so that a blur can be seen."""
    levels = np.asarray(picture(LABELS[seed % len(LABELS)], seed).resize(size)).astype(np.float32)
    grain = np.random.default_rng(seed).normal(0, 8, size[::-1])[..., None]
    return Image.fromarray(np.clip(levels + grain, 0, 255).astype(np.uint8))


def look(image: Image.Image) -> Floats:
    """Pixels, and how they differ from those beside, in place of a network's maps."""
    pixels = np.asarray(image.resize((48, 48))).astype(np.float32).transpose(2, 0, 1) / 255
    steps = [np.abs(np.diff(pixels, axis=axis, append=0.0)) ** power for axis in (1, 2) for power in (0.5, 1, 2)]
    return summary(np.concatenate([pixels, np.log(pixels + 0.01), np.ptp(pixels, axis=0)[None], *steps]))


@cache
def known() -> tuple[Floats, list[str]]:
    ways = [way for way in (AS_IS, *WAYS) for _ in range(EACH)]
    looks = [look(changed(photo(seed), way, np.random.default_rng(seed))) for seed, way in enumerate(ways)]
    return np.stack(looks), ways


def asked(way: str, count: int = 40) -> Floats:
    return np.stack(
        [look(changed(photo(seed), way, np.random.default_rng(seed))) for seed in range(1000, 1000 + count)]
    )


@pytest.mark.parametrize("way", [*WAYS])
@pytest.mark.parametrize("size", [(60, 44), (1, 1), (3, 200)])
def test_a_changed_picture_keeps_its_size_and_is_the_same_each_time(way: str, size: tuple[int, int]) -> None:
    first, again = (changed(photo(1, size), way, np.random.default_rng(3)) for _ in range(2))
    assert (first.size, first.mode) == (size, "RGB")
    assert first.tobytes() == again.tobytes()


def test_what_is_as_it_always_was_stays() -> None:
    assert changed(photo(1), AS_IS, np.random.default_rng(3)).tobytes() == photo(1).tobytes()


@pytest.mark.parametrize("way", ["grey", "hazy", "drawn", "compressed", "behind glass"])
def test_pictures_that_were_changed_are_recognised(way: str) -> None:
    found = find_ways(*known(), asked(way))
    assert max(found, key=lambda name: found[name]).removeprefix("very ") == way


def test_ordinary_pictures_look_like_nothing_else() -> None:
    assert find_ways(*known(), asked(AS_IS)) == {}


def test_where_changes_cannot_be_told_apart_nothing_is_recognised() -> None:
    looks, ways = known()
    assert find_ways(looks[:, :1], ways, asked("grey")[:, :1]) == {}


@pytest.mark.parametrize("seed", range(4))
def test_motion_draws_a_dot_out_into_a_line(seed: int) -> None:
    levels = np.zeros((120, 160, 3), dtype=np.uint8)
    levels[55:60, 75:80] = 255
    smeared = np.asarray(changed(Image.fromarray(levels), "very smeared", np.random.default_rng(seed)))[..., 0]
    spread = np.cov(np.nonzero(smeared), aweights=smeared[np.nonzero(smeared)])
    short, long = np.sqrt(np.linalg.eigvalsh(spread))
    assert long > 1.5 * short
    assert smeared.sum() == pytest.approx(levels[..., 0].sum(), rel=0.15)

import io

import numpy as np
import pytest
from PIL import Image

from catdog.images.phash import NEAR_DUPLICATE, group_near_duplicates, hamming_distance, near_pairs, pack, phash
from tests.toy import encoded


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A picture of soft blobs, as different from others as photos are."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def test_a_hash_has_64_hexadecimal_digits() -> None:
    digest = phash(scene(1))
    assert len(digest) == 64
    assert int(digest, 16) > 0


def test_bits_say_where_a_picture_gets_brighter_to_the_right() -> None:
    ramp = Image.fromarray(np.tile(np.arange(0, 255, 3, dtype=np.uint8)[None, :, None], (64, 1, 3)))
    assert phash(ramp) == "f" * 64
    assert phash(ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == "0" * 64


@pytest.mark.parametrize("size", [(200, 200), (160, 120), (640, 480), (100, 150)])
def test_a_resized_or_squeezed_copy_is_a_near_duplicate(size: tuple[int, int]) -> None:
    assert hamming_distance(phash(scene(2)), phash(scene(2).resize(size))) <= NEAR_DUPLICATE


def test_a_recompressed_copy_is_a_near_duplicate() -> None:
    copy = Image.open(io.BytesIO(encoded(scene(3), quality=30)))
    assert hamming_distance(phash(scene(3)), phash(copy)) <= NEAR_DUPLICATE


def test_different_pictures_are_far_apart() -> None:
    hashes = [phash(scene(seed)) for seed in range(20)]
    distances = [hamming_distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > 4 * NEAR_DUPLICATE


def test_the_search_among_many_finds_exactly_the_near_pairs() -> None:
    left = [flipped("0" * 64, bits) for bits in (0, 5, 10, 11, 200)]
    right = ["0" * 64, "f" * 64]
    assert set(near_pairs(pack(left), pack(right))) == {(0, 0), (1, 0), (2, 0)}
    assert [hamming_distance(a, right[0]) for a in left] == [0, 5, 10, 11, 200]


def test_the_search_crosses_its_block_border() -> None:
    hashes = pack([phash(scene(seed, (34, 32))) for seed in range(600)] + [phash(scene(0, (34, 32)))])
    assert set(near_pairs(hashes[-1:], hashes)) == {(0, 0), (0, 600)}
    assert set(near_pairs(hashes, hashes[-1:])) == {(0, 0), (600, 0)}


def test_groups_are_chains_of_near_duplicates() -> None:
    chain = [flipped("0" * 64, bits) for bits in (0, 8, 16, 24)]
    groups = group_near_duplicates(pack(["f" * 64, *chain, "f" * 64]))
    assert groups.tolist() == [0, 1, 1, 1, 1, 0]


def test_no_pictures_are_no_groups() -> None:
    assert group_near_duplicates(pack([])).tolist() == []


def flipped(digest: str, bits: int) -> str:
    """The hash with its last `bits` bits turned over."""
    return f"{int(digest, 16) ^ ((1 << bits) - 1):064x}"


def test_groups_are_those_that_comparing_all_pairs_finds() -> None:
    random = np.random.default_rng(0)
    originals = random.random((60, 256)) < 0.5
    bits = originals[random.integers(0, 60, 900)]
    for row in bits:  # retakes: up to 7 bits differ from the original, so some copies are linked by others only
        row[random.choice(256, random.integers(0, 8), replace=False)] ^= True
    hashes = np.packbits(bits, axis=1).view(np.uint64)
    groups = np.arange(len(hashes))
    for first, second in near_pairs(hashes, hashes):
        low, high = sorted((groups[first], groups[second]))
        groups[groups == high] = low
    assert group_near_duplicates(hashes).tolist() == groups.tolist()


def test_tens_of_thousands_of_similar_pictures_are_grouped() -> None:
    noise = np.random.default_rng(0).random((40_000, 256)) < 0.01  # black frames of a camera
    groups = group_near_duplicates(np.packbits(noise, axis=1).view(np.uint64))
    assert np.bincount(groups).max() > 39_000
    assert (groups <= np.arange(len(groups))).all()
    assert (groups[groups] == groups).all()


def test_of_tens_of_thousands_that_are_nearly_black_hardly_any_near_pair_is_missed() -> None:
    noise = np.packbits(np.random.default_rng(1).random((12_000, 256)) < 0.03, axis=1).view(np.uint64)
    groups = group_near_duplicates(noise)
    parts = noise[:1_000]
    missed = sum(groups[first] != groups[second] for first, second in near_pairs(parts, noise))
    assert missed == 0

"""A perceptual hash: pictures that look alike get hashes that differ in few bits, whatever their size or compression.

It is the difference hash (dHash): the picture is shrunk to 17 x 16 grey pixels, and each of the 256 bits says whether a
pixel is darker than its right neighbour. Squeezing a picture to another shape leaves the hash about as it was.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

NEAR_DUPLICATE = 10
"""Pictures whose hashes differ in at most this many of 256 bits are taken for copies of each other."""

_SIDE = 16
_BLOCK = 512

Hashes = npt.NDArray[np.uint64]
"""Shape (n, 4): 256 bits per picture."""


def phash(image: Image.Image) -> str:
    """The perceptual hash of an upright RGB image: 64 hexadecimal digits."""
    grey = image.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(grey, dtype=np.int16)
    return np.packbits(pixels[:, :-1] < pixels[:, 1:]).tobytes().hex()


def hamming_distance(first: str, second: str) -> int:
    """In how many of 256 bits two hashes differ."""
    return (int(first, 16) ^ int(second, 16)).bit_count()


def pack(hashes: Sequence[str]) -> Hashes:
    """Hexadecimal hashes as an array, for searching among many."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint64).reshape(-1, 4)


def near_pairs(left: Hashes, right: Hashes, *, max_distance: int = NEAR_DUPLICATE) -> Iterator[tuple[int, int]]:
    """The pairs (row of `left`, row of `right`) that are near-duplicates; takes seconds for 20,000 against 20,000."""
    for start in range(0, len(left), _BLOCK):
        block = left[start : start + _BLOCK]
        # The first of four words rules nearly all pairs out; only the others are compared in full.
        rows, columns = np.nonzero(np.bitwise_count(block[:, None, 0] ^ right[None, :, 0]) <= max_distance)
        near = np.bitwise_count(block[rows] ^ right[columns]).sum(axis=1) <= max_distance
        yield from zip((rows[near] + start).tolist(), columns[near].tolist(), strict=True)


def group_near_duplicates(hashes: Hashes, *, max_distance: int = NEAR_DUPLICATE) -> npt.NDArray[np.int64]:
    """Number the groups of pictures that are linked by near-duplicates.

    Returns:
        Array of shape (n,): for each picture the smallest index in its group.
    """
    if not len(hashes):
        return np.zeros(0, dtype=np.int64)
    # Equal hashes first: thousands of rows may be about one picture, and comparing all pairs of them never ends.
    words = np.ascontiguousarray(hashes).view("V32").ravel()
    _, firsts, inverse = np.unique(words, return_index=True, return_inverse=True)
    order = np.argsort(firsts)  # so that a smaller position means a smaller index
    distinct = hashes[firsts[order]]
    parent = list(range(len(distinct)))
    for first, second in near_pairs(distinct, distinct, max_distance=max_distance):
        if first < second:
            low, high = sorted((_root(parent, first), _root(parent, second)))
            parent[high] = low
    roots = np.array([_root(parent, index) for index in range(len(parent))], dtype=np.int64)
    positions = np.empty(len(order), dtype=np.int64)
    positions[order] = np.arange(len(order))
    return firsts[order][roots][positions[inverse]]


def _root(parent: list[int], index: int) -> int:
    """The group's smallest index; paths are halved on the way."""
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index

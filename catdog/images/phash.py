"""A perceptual hash: pictures that look alike get hashes that differ in few bits, whatever their size or compression.

It is the difference hash (dHash): the picture is shrunk to 17 x 16 grey pixels, and each of the 256 bits says whether a
pixel is darker than its right neighbour. Squeezing a picture to another shape leaves the hash about as it was: the bits
that change are those of neighbours that are about equally bright. So a picture that is at hand tells which of its bits
are certain, and a hash that differs in hardly any of these is a copy's, even if it differs in many others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

NEAR_DUPLICATE = 10
"""Pictures whose hashes differ in at most this many of 256 bits are taken for copies of each other."""
SAME_PICTURE = 24
"""So many may differ between a picture and its copy in another shape. Of 681 photos and their squeezed copies none
differed in more than 20; of 1,980 other pictures and 21,283 hashes none in fewer than 36."""

_CANDIDATE = 48
"""Of a candidate for the second check, which looks at the certain bits alone ..."""
_CERTAIN_APART = 8
"""... of which so many may differ: at most 5 did in copies, at least 14 in others ..."""
_CERTAIN_ENOUGH = 64
"""... if there are so many: a nearly even picture has too few to tell."""
_MARGIN = 2  # levels of grey between neighbours, above which their order is certain

_SIDE = 16
_BLOCK = 512

Hashes = npt.NDArray[np.uint64]
"""Shape (n, 4): 256 bits per picture."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A perceptual hash, and which of its bits are certain; 64 hexadecimal digits each."""

    phash: str
    certain: str


def phash(image: Image.Image) -> str:
    """The perceptual hash of an upright RGB image: 64 hexadecimal digits."""
    return fingerprint(image).phash


def fingerprint(image: Image.Image) -> Fingerprint:
    """The perceptual hash of an upright RGB image, and which bits another size or compression will hardly change."""
    grey = image.convert("L").resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(grey, dtype=np.int16)
    steps = pixels[:, 1:] - pixels[:, :-1]
    return Fingerprint(_hexadecimal(steps > 0), _hexadecimal(np.abs(steps) > _MARGIN))


def _hexadecimal(bits: npt.NDArray[np.bool_]) -> str:
    return np.packbits(bits).tobytes().hex()


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


def same_pictures(left: Hashes, right: Hashes, certain: Hashes | None = None) -> Iterator[tuple[int, int]]:
    """The pairs (row of `left`, row of `right`) that show the same picture, whatever its size, shape and compression.

    Args:
        left: Of pictures at hand.
        right: Of pictures that need not be.
        certain: Which bits of `left` are certain, see `fingerprint`; without it only few bits may differ.

    Yields:
        All near-duplicates; for rows of `left` that have none, what looks the same in another shape.
    """
    found = np.zeros(len(left), dtype=np.bool_)
    for row, column in near_pairs(left, right):
        found[row] = True
        yield row, column
    others = np.flatnonzero(~found)
    for start in range(0, len(others), _BLOCK // 8):
        rows = others[start : start + _BLOCK // 8]
        differing = left[rows][:, None, :] ^ right[None, :, :]
        distance = np.bitwise_count(differing).sum(axis=2, dtype=np.int64)
        candidates, columns = np.nonzero(distance <= _CANDIDATE)
        same = distance[candidates, columns] <= SAME_PICTURE
        if certain is not None:
            mask = certain[rows[candidates]]
            apart = np.bitwise_count(differing[candidates, columns] & mask).sum(axis=1, dtype=np.int64)
            enough = np.bitwise_count(mask).sum(axis=1, dtype=np.int64) >= _CERTAIN_ENOUGH
            same = np.where(enough, apart <= _CERTAIN_APART, same)
        yield from zip(rows[candidates[same]].tolist(), columns[same].tolist(), strict=True)


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

"""A perceptual hash: pictures that look alike get hashes that differ in few bits, whatever their size or compression.

It is the difference hash (dHash): the picture is shrunk to 17 x 16 grey pixels, and each of the 256 bits says whether a
pixel is darker than its right neighbour. Squeezing a picture to another shape leaves the hash about as it was: the bits
that change are those of neighbours that are about equally bright. So a picture that is at hand tells which of its bits
are certain, and a hash that differs in hardly any of these is a copy's, even if it differs in many others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

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
_BITS = _SIDE * _SIDE
_BLOCK = 512
_COMPARED, _COMPARED_OF_EACH = 400_000, 1
"""How often hashes that share a band are compared with others of it: so often in all, and so often more for each."""
_COMPARED_BY_ALL = 8
"""The others next to it, with which each is compared, before those that are linked with most are left alone."""
_LONG_RUN, _CENTRE_OF = 256, 32
"""Where more hashes share a band, all are compared first with the one that is nearest to the others of so many."""
_MOST_OPEN = 1_500
"""Hashes that are compared with all others, because too many share a band with them."""
_TABLE = 400_000
"""Comparisons at a time: tables of a few megabytes, which a core's cache holds."""

_SHORT_WAY = 4
"""Links between a thing and the one that stands for it, up to which they are followed for a few things alone."""

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
    """Number the groups of pictures that are linked by near-duplicates, in time that grows with their number alone.

    Multi-index hashing (M. Norouzi, A. Punjani, D. J. Fleet, CVPR 2012): of `max_distance + 1` bands of bits, at least
    one is the same in two hashes that are that near. So hashes are sorted by each band in turn, with the bits that
    follow it, and each is compared with those after it that share the band. Thousands may share one (a black frame's
    noise); then each is compared with one in their midst, and where that leaves it alone with those next to it. What
    is still alone is compared with all others, up to a fixed number of comparisons: beyond it a link may be missed.

    Returns:
        Array of shape (n,): for each picture the smallest index in its group.
    """
    if not len(hashes):
        return np.zeros(0, dtype=np.int64)
    firsts, inverse = _equal(hashes)  # thousands of rows may be about one picture
    distinct, links = hashes[firsts], _Links(len(firsts))
    edges = np.linspace(0, _BITS, max_distance + 2).astype(int).tolist()
    is_open = np.zeros(len(firsts), dtype=np.bool_)
    for start, end in pairwise(edges):
        is_open[_link_by_band(distinct, links, start, end - start, max_distance)] = True
    _link_with_all(distinct, links, np.flatnonzero(is_open), max_distance)
    smallest = np.full(len(firsts), len(hashes), dtype=np.int64)
    roots = links.roots()
    np.minimum.at(smallest, roots, firsts)
    return smallest[roots][inverse]


def _equal(hashes: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The first row of each distinct hash, and for each row the position of its hash among these."""
    order = np.lexsort(hashes.T)  # equal ones stay in their order
    ordered = hashes[order]
    begins = np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)]
    inverse = np.empty(len(hashes), dtype=np.int64)
    inverse[order] = np.cumsum(begins) - 1
    return order[begins], inverse


class _Links:
    """Which of n things are linked, directly or by others: a union-find over arrays."""

    def __init__(self, n: int) -> None:
        self._parent = np.arange(n)

    def add(self, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> None:
        """Link each of `left` with its counterpart of `right`."""
        while len(left):
            left, right = self._roots_of(left), self._roots_of(right)
            apart = left != right
            left, right = left[apart], right[apart]
            # Of several links of one root one is kept; the others come again, until all are in.
            self._parent[np.maximum(left, right)] = np.minimum(left, right)

    def roots(self) -> npt.NDArray[np.int64]:
        """For each thing one that stands for all it is linked with."""
        while not np.array_equal(further := self._parent[self._parent], self._parent):  # halves the way of each
            self._parent = further
        return self._parent

    def _roots_of(self, things: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        found = self._parent[things]
        for _ in range(_SHORT_WAY):
            further = self._parent[found]
            if np.array_equal(further, found):
                return found
            found = further
        return self.roots()[things]


def _link_by_band(hashes: Hashes, links: _Links, start: int, width: int, max_distance: int) -> npt.NDArray[np.int64]:
    """Link the hashes that share the `width` bits from `start` on, and are near.

    Args:
        hashes: Shape (n, 4), all different.
        links: Gets the links.
        start: The band's first bit.
        width: How many bits it has.
        max_distance: How many bits may differ.

    Returns:
        The rows of hashes that share the band with too many to be compared with all of them, and that aren't linked
        with most of these.
    """
    leading = _bits_from(hashes, start)
    order = np.argsort(leading)
    columns, band = hashes[order].T, leading[order] >> np.uint64(64 - width)
    columns = np.ascontiguousarray(columns[_telling(columns)])
    begins = np.flatnonzero(np.r_[True, band[1:] != band[:-1]])
    lengths = np.diff(np.r_[begins, len(band)])
    first = np.repeat(begins, lengths)
    end = first + np.repeat(lengths, lengths)

    def link(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> None:
        near = _near(columns, left, right, max_distance)
        links.add(order[left[near]], order[right[near]])

    link(*_with_their_centres(columns, begins, lengths))
    rest = _apart(links.roots()[order], begins, lengths)
    for step in range(1, _COMPARED_BY_ALL + 1):
        for left, right in ((rest, rest + step), (rest, rest - step)):
            inside = (first[left] <= right) & (right < end[left])
            link(left[inside], right[inside])
    rest = _apart(links.roots()[order], begins, lengths)
    rest = rest[np.argsort((end - first)[rest], kind="stable")]
    budget = _COMPARED + _COMPARED_OF_EACH * len(band)
    few = int(np.searchsorted(np.cumsum((end - first)[rest]), budget, side="right"))
    for some in np.array_split(rest[:few], 1 + budget // _BLOCK**2):
        link(*_with_their_runs(some, first, end))
    return order[rest[few:]]


def _link_with_all(hashes: Hashes, links: _Links, rows: npt.NDArray[np.int64], max_distance: int) -> None:
    """Link some hashes with all that are near, those in the smallest groups first, and `_MOST_OPEN` at most."""
    roots = links.roots()
    sizes = np.bincount(roots, minlength=len(hashes))[roots]
    rows = rows[(sizes[rows] < sizes.max()).nonzero()]
    rows = rows[np.argsort(sizes[rows], kind="stable")][:_MOST_OPEN]
    columns = np.ascontiguousarray(hashes.T)
    folded = np.bitwise_xor.reduce(columns, axis=0)  # near hashes are near when they are folded
    for some in np.array_split(rows, 1 + len(rows) * len(hashes) // _TABLE):
        places = np.flatnonzero(np.bitwise_count(folded ^ folded[some, None]) <= max_distance)
        left, right = some[places // len(hashes)], places % len(hashes)
        near = _near(columns, left, right, max_distance)
        links.add(left[near], right[near])


def _with_their_centres(
    columns: npt.NDArray[np.uint64], begins: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of each position in a long run with its centre: of some hashes there, the one nearest to the others."""
    begins, lengths = begins[lengths > _LONG_RUN], lengths[lengths > _LONG_RUN]
    some = begins[:, None] + np.linspace(0, lengths - 1, _CENTRE_OF, axis=1).astype(np.int64)
    words = columns[:, some]
    apart = np.bitwise_count(words[..., None] ^ words[..., None, :]).sum(axis=(0, 3), dtype=np.int64)
    centres = some[np.arange(len(some)), np.argmin(apart, axis=1)]
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(begins, lengths) + within, np.repeat(centres, lengths)


def _with_their_runs(
    positions: npt.NDArray[np.int64], first: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of each position with all others of its run, from `first` to before `end`."""
    lengths = end[positions] - first[positions]
    begins = np.cumsum(lengths) - lengths
    return np.repeat(positions, lengths), np.arange(lengths.sum()) + np.repeat(first[positions] - begins, lengths)


def _telling(columns: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The order of the four words of hashes, the one that differs most first."""
    some = columns[:, :: 1 + columns.shape[1] // 1000]
    return np.argsort([-len(np.unique(words)) for words in some])


def _apart(
    roots: npt.NDArray[np.int64], begins: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The positions in runs that aren't linked with the largest group of their run: the others need no comparing."""
    weight = np.bincount(roots, minlength=len(roots))[roots] * len(roots) + roots
    return np.flatnonzero(weight != np.repeat(np.maximum.reduceat(weight, begins), lengths))


def _bits_from(hashes: Hashes, start: int) -> npt.NDArray[np.uint64]:
    """The 64 bits of each hash that begin at `start`, as a number; after the last bit comes the first."""
    words, (word, bit) = hashes.byteswap(), divmod(start, 64)
    if bit == 0:
        return words[:, word]
    return (words[:, word] << np.uint64(bit)) | (words[:, (word + 1) % 4] >> np.uint64(64 - bit))


def _near(
    columns: npt.NDArray[np.uint64], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], max_distance: int
) -> npt.NDArray[np.int64]:
    """The positions in `left` and `right` whose hashes, columns of shape (4, n), are near."""
    found, distance = np.arange(len(left)), np.zeros(len(left), dtype=np.int64)
    for words in columns:  # most pairs are told apart by the first
        distance += np.bitwise_count(words[left[found]] ^ words[right[found]])
        kept = distance <= max_distance
        found, distance = found[kept], distance[kept]
    return found

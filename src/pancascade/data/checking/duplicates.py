"""Detection of the same image under two names, in one or several data sets, by image hashes."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pancascade.data.checking.image_hash import Landmarks, landmarks_of, picture_of

LIKE_PATCHES = 0.9
"""Correlation from which two landmarks may be the same position."""
TOLERANCE_MM = 6.0
"""Largest difference of two landmarks' shifts between two scans, along each axis."""
FEWEST_SHARED = 24
"""Least denominator of the share of agreeing landmarks, because a few may agree by chance."""
SAME_SCAN, SAME_SLICE = 0.3, 0.8
"""Similarities from which two images count as the same; `benchmarks/duplicates.py` measures both sides."""

_EXACT_SCAN, _EXACT_SLICE, _EXACT_SHIFT_MM = 0.97, 0.98, 4.0
_FLIPS = tuple(itertools.product((False, True), repeat=3))
_TELLING, _TELLING_HITS = 8, 3
_BLOCK = 512

Kind = Literal["same-image", "near-duplicate"]


@dataclass(frozen=True)
class HashedImage:
    """An image and its hash.

    Attributes:
        name: Unique within its source.
        patient: Patient of the image.
        source: Name of the data set.
        hash: Hash from `image_hash` or `slice_hash`.
    """

    name: str
    patient: str
    source: str
    hash: str


@dataclass(frozen=True)
class DuplicatePair:
    """Two images with the same content.

    Attributes:
        first: The image that comes first in the given list.
        second: The other image.
        similarity: 0 to 1. For scans the share of their common landmarks that agree, for slices the correlation.
        kind: ``same-image`` for a whole copy, stored or windowed in any way; ``near-duplicate`` for a copy that is
            cropped, resampled, flipped, or different in another way.
    """

    first: HashedImage
    second: HashedImage
    similarity: float
    kind: Kind


@dataclass(frozen=True)
class _Match:
    """Two hashes with the same content, by their indices in a list."""

    one: int
    other: int
    similarity: float
    whole: bool


def find_duplicates(images: Sequence[HashedImage]) -> list[DuplicatePair]:
    """Return all pairs that show the same scan or the same slice, by falling similarity.

    Scans are compared with scans, and slices with slices. Slices of one patient are never a pair, because neighbours
    are similar; for the same reason each slice has at most one pair with each other patient. An image without tissue
    has no pair.

    Args:
        images: Scans and slices of one or several data sets.
    """
    # Equal hashes are compared only once.
    holders: dict[str, list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        holders[image.hash].append(index)
    scans = {text: found for text in holders if (found := landmarks_of(text)) is not None and len(found.patches)}
    slices = {text: seen for text in holders if (seen := picture_of(text)) is not None}
    pairs = _pairs_of(images, [holders[text] for text in scans], _like_scans(list(scans.values())))
    neighbours = _pairs_of(images, [holders[text] for text in slices], _like_slices(list(slices.values())))
    return sorted([*pairs, *_one_to_one(neighbours)], key=lambda pair: -pair.similarity)


def scan_similarity(one: Landmarks, other: Landmarks) -> float:
    """Return the share of agreeing landmarks in the common field of view, for the best flip of the other scan.

    Landmarks agree if their patches correlate and one common shift aligns them.
    """
    return max(_agreement(one, other, flips)[0] for flips in _FLIPS)


def slice_similarity(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the correlation of two small images, (16, 16) each, for the best flip of the other."""
    return float(max((one * turned).sum() for turned in _all_ways(other[None])[:, 0]))


def _pairs_of(
    images: Sequence[HashedImage], holders: Sequence[Sequence[int]], matches: Iterable[_Match]
) -> list[DuplicatePair]:
    """Convert matches of hashes to pairs of their images; equal hashes are pairs too."""
    equal = (_Match(index, index, 1.0, True) for index, held in enumerate(holders) if len(held) > 1)
    pairs = []
    for match in itertools.chain(equal, matches):
        one, other = holders[match.one], holders[match.other]
        both = itertools.combinations(one, 2) if one is other else itertools.product(one, other)
        for indices in both:
            first, second = (images[index] for index in sorted(indices))
            kind: Kind = "same-image" if match.whole else "near-duplicate"
            pairs.append(DuplicatePair(first, second, match.similarity, kind))
    return pairs


def _one_to_one(pairs: Iterable[DuplicatePair]) -> Iterator[DuplicatePair]:
    """Yield the most similar pair of each slice with each other patient."""
    taken: set[tuple[HashedImage, str]] = set()
    for pair in sorted(pairs, key=lambda pair: -pair.similarity):
        ends = {(pair.first, pair.second.patient), (pair.second, pair.first.patient)}
        if pair.first.patient != pair.second.patient and not ends & taken:
            taken |= ends
            yield pair


def _like_scans(scans: Sequence[Landmarks]) -> Iterator[_Match]:
    if not scans:
        return
    patches = np.concatenate([scan.patches.reshape(len(scan.patches), -1) for scan in scans])
    owners = np.repeat(np.arange(len(scans)), [len(scan.patches) for scan in scans])
    for index, scan in enumerate(scans[:-1]):
        later = int(np.searchsorted(owners, index + 1))
        for other, all_flips in _candidates(scan, patches[later:], owners[later:]).items():
            similarity, whole = max(_compared(scan, scans[other], flips) for flips in all_flips)
            if similarity >= SAME_SCAN:
                yield _Match(index, other, similarity, whole)


def _candidates(
    scan: Landmarks, patches: NDArray[np.float32], owners: NDArray[np.intp]
) -> dict[int, list[tuple[bool, ...]]]:
    """Return scans with enough landmarks similar to this one's, and the flips at which they are."""
    # A flipped scan is rare and mostly whole, so its strongest landmarks suffice.
    searched = [_turned(scan.patches[: _TELLING if any(flips) else None], flips) for flips in _FLIPS]
    way = np.repeat(np.arange(len(_FLIPS)), [len(some) for some in searched])
    wanted = np.concatenate(searched).reshape(len(way), -1)
    row, column = np.divmod(np.flatnonzero(wanted @ patches.T > LIKE_PATCHES), len(patches))
    hits = np.bincount(way[row] * (owners[-1] + 1) + owners[column], minlength=len(_FLIPS) * (owners[-1] + 1))
    found: dict[int, list[tuple[bool, ...]]] = defaultdict(list)
    for number, count in enumerate(hits.reshape(len(_FLIPS), -1)):
        enough = _TELLING_HITS if number else FEWEST_SHARED * SAME_SCAN
        for other in np.flatnonzero(count >= enough):
            found[int(other)].append(_FLIPS[number])
    return found


def _compared(one: Landmarks, other: Landmarks, flips: tuple[bool, ...]) -> tuple[float, bool]:
    """Return the similarity, and whether the other is a whole copy in the same orientation."""
    similarity, shift_mm = _agreement(one, other, flips)
    moved_mm = float(np.abs([shift_mm, one.size_mm - other.size_mm]).max())
    return similarity, similarity >= _EXACT_SCAN and moved_mm <= _EXACT_SHIFT_MM and not any(flips)


def _agreement(one: Landmarks, other: Landmarks, flips: tuple[bool, ...]) -> tuple[float, NDArray[np.float32]]:
    """Return the share of agreeing common landmarks, and the shift in mm from the flipped other scan to this one."""
    patches = _turned(other.patches, flips).reshape(len(other.patches), -1)
    places = np.where(flips, other.size_mm - other.places_mm, other.places_mm)
    first, second = np.nonzero(one.patches.reshape(len(one.patches), -1) @ patches.T > LIKE_PATCHES)
    if not first.size:
        return 0.0, np.zeros(3, np.float32)
    shifts = one.places_mm[first] - places[second]
    close = (np.abs(shifts[:, None] - shifts[None]) <= TOLERANCE_MM).all(axis=2)
    agreeing = close[close.sum(axis=1).argmax()]
    shift_mm = shifts[agreeing].mean(axis=0)
    count = min(np.unique(first[agreeing]).size, np.unique(second[agreeing]).size)
    common = min(
        _inside(one.places_mm - shift_mm, other.size_mm),
        _inside(places + shift_mm, one.size_mm),
    )
    return min(1.0, count / max(common, FEWEST_SHARED)), shift_mm


def _inside(places_mm: NDArray[np.float32], size_mm: NDArray[np.float32]) -> int:
    return int(((places_mm > 0) & (places_mm < size_mm)).all(axis=1).sum())


def _turned(patches: NDArray[np.float32], flips: Sequence[bool]) -> NDArray[np.float32]:
    """Return patches (N, ...) flipped along their own axes."""
    return np.flip(patches, tuple(axis + 1 for axis, flip in enumerate(flips) if flip))


def _like_slices(pictures: Sequence[NDArray[np.float32]]) -> Iterator[_Match]:
    if not pictures:
        return
    turned = _all_ways(np.stack(pictures)).reshape(4, len(pictures), -1)
    for start in range(0, len(pictures), _BLOCK):
        block = turned[0, start : start + _BLOCK]
        scan_lps = block @ turned[0, start:].T
        best = np.maximum.reduce([scan_lps, *(block @ flipped[start:].T for flipped in turned[1:])])
        for one, other in np.argwhere(best >= SAME_SLICE):
            if one < other:
                whole = bool(scan_lps[one, other] >= _EXACT_SLICE)
                yield _Match(start + int(one), start + int(other), min(1.0, float(best[one, other])), whole)


def _all_ways(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (4, N, 16, 16): unchanged, flipped along rows, along columns, along both."""
    ways = ((False, False), (True, False), (False, True), (True, True))
    return np.stack([_turned(pictures, flips) for flips in ways])

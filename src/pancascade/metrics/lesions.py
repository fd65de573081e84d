"""Lesions of a mask: connected components, their sizes, and matching of candidates with lesions.

Lesions are the components of the reference, candidates those of the prediction. Both are 26-connected: voxels that
share a face, an edge or a corner are connected.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.imaging.volume import Box

_PICAI_EPSILON = 1e-8
"""Added by picai_eval to both sides of an IoU; among pairs of equal IoU it prefers the smaller union."""


class SizeClass(NamedTuple):
    """Lesions by longest axial diameter d, from_mm ≤ d < below_mm."""

    name: str
    from_mm: float
    below_mm: float

    def holds(self, diameters_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which diameters, of any shape, are in this class."""
        return (self.from_mm <= diameters_mm) & (diameters_mm < self.below_mm)


SIZE_CLASSES = (
    SizeClass("<1 cm", 0.0, 10.0),
    SizeClass("1-2 cm", 10.0, 20.0),
    SizeClass("2-4 cm", 20.0, 40.0),
    SizeClass(">=4 cm", 40.0, math.inf),
)
"""Half-open: a lesion of exactly 2 cm is in the class 2-4 cm."""


@dataclass(frozen=True, eq=False)
class Components:
    """The connected components of a mask, numbered from 1.

    Attributes:
        labels: int32, of the box's shape; 0 is background.
        box: Position of labels in the mask; of size 0 for an empty mask.
        voxels: (N,) int64, number of voxels of each component.
    """

    labels: NDArray[np.int32]
    box: Box
    voxels: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of components, N."""
        return len(self.voxels)

    def volumes_ml(self, spacing_mm: Sequence[float]) -> NDArray[np.float64]:
        """Return (N,) volumes, voxels times a voxel's volume."""
        return self.voxels.astype(np.float64) * (math.prod(spacing_mm) / 1000)

    def diameters_mm(self, spacing_mm: Sequence[float]) -> NDArray[np.float64]:
        """Return (N,) longest axial diameters, see `longest_axial_diameter_mm`."""
        places = ndimage.find_objects(self.labels) if self.count else []
        masks = (self.labels[place] == number for number, place in enumerate(places, start=1))
        return np.array([longest_axial_diameter_mm(mask, spacing_mm) for mask in masks], dtype=np.float64)

    def centres(self) -> NDArray[np.float64]:
        """Return (N, D) centres of mass, as voxel indices of the mask."""
        indices = np.nonzero(self.labels)
        numbers = self.labels[indices]
        sums = [np.bincount(numbers, weights=along, minlength=self.count + 1)[1:] for along in indices]
        return np.column_stack(sums) / self.voxels[:, None] + np.array(self.box.start)

    def largest(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return (N,) largest value inside each component; NaN if one is NaN.

        Args:
            values: Array of the mask's shape.
        """
        inside = self.labels > 0
        most = np.full(self.count, -np.inf)
        with np.errstate(invalid="ignore"):
            np.maximum.at(most, self.labels[inside] - 1, values[self.box.slices][inside].astype(np.float64))
        return most


def find_components(mask: NDArray[Any]) -> Components:
    """Return the components of a mask, 26-connected in 3-D and 8-connected in 2-D.

    Args:
        mask: D-dimensional, boolean or integer; may be empty.
    """
    box = Box.around(mask)
    if box is None:
        nowhere = (0,) * mask.ndim
        return Components(np.zeros(nowhere, np.int32), Box(nowhere, nowhere), np.zeros(0, np.int64))
    # Only the box, because labelling a whole scan of 60 million voxels takes seconds.
    labels = np.zeros(box.shape, np.int32)
    count = ndimage.label(mask[box.slices], structure=np.ones((3,) * mask.ndim), output=labels)
    return Components(labels, box, np.bincount(labels[labels > 0], minlength=int(count) + 1)[1:])


def intersections(lesions: Components, candidates: Components) -> NDArray[np.int64]:
    """Return (R, C): voxels shared by each of R lesions and each of C candidates on the same grid."""
    start = np.maximum(lesions.box.start, candidates.box.start)
    stop = np.maximum(np.minimum(lesions.box.stop, candidates.box.stop), start)
    common = Box(tuple(start), tuple(stop))
    ours, theirs = (
        part.labels[common.shift([-index for index in part.box.start]).slices] for part in (lesions, candidates)
    )
    inside = ours > 0
    columns = candidates.count + 1
    pairs = ours[inside].astype(np.int64) * columns + theirs[inside]
    table = np.bincount(pairs, minlength=(lesions.count + 1) * columns)
    return table.reshape(lesions.count + 1, columns)[1:, 1:]


def iou_table(lesions: Components, candidates: Components) -> NDArray[np.float64]:
    """Return (R, C): intersection over union of R lesions and C candidates on the same grid."""
    both = intersections(lesions, candidates)
    return both / _unions(lesions, candidates, both)


@dataclass(frozen=True)
class Matching:
    """Matching of candidates with lesions. A candidate in no attribute is ignored: neither true nor false positive.

    Attributes:
        found_by: Index of each lesion's candidate, from 0; None for a missed lesion.
        iou: IoU of each lesion with its candidate; 0 for a missed lesion.
        false_positives: Candidates that hit no lesion.
    """

    found_by: tuple[int | None, ...]
    iou: tuple[float, ...]
    false_positives: tuple[int, ...]


def match_by_iou(lesions: Components, candidates: Components, *, least_iou: float) -> Matching:
    """Match each lesion with at most one candidate, by overlap.

    A pair may match at IoU ≥ least_iou. The chosen pairs maximise the sum of 1 + IoU: as many pairs as possible, and
    among these the best. A candidate that could match a lesion taken by another one is ignored.

    Raises:
        ValueError: least_iou is not in (0, 1].

    Source: picai_eval 1.4, evaluate_case, with 0.10 for PI-CAI; PANORAMA uses 0.15.
    """
    if not 0 < least_iou <= 1:
        raise ValueError(f"least_iou is {least_iou:g}; it must be above 0 and at most 1")
    both = intersections(lesions, candidates)
    unions = _unions(lesions, candidates, both)
    iou = both / unions
    enough = iou >= least_iou
    worth = np.where(enough, (both + _PICAI_EPSILON) / (unions + _PICAI_EPSILON) + 1, 0)
    from scipy.optimize import linear_sum_assignment  # its import takes as long as all others together

    pairs = zip(*(indices.tolist() for indices in linear_sum_assignment(worth, maximize=True)), strict=True)
    taken = {lesion: candidate for lesion, candidate in pairs if enough[lesion, candidate]}
    return _matching(taken, iou, hits=enough)


def match_by_centre(lesions: Components, candidates: Components, confidences: NDArray[np.float64]) -> Matching:
    """Match each lesion with at most one candidate, by position.

    A candidate hits the lesion that contains its centre of mass, at the nearest voxel (halves to the higher index). If
    several hit a lesion, the most confident counts (then the one of largest IoU); the others are ignored.

    Args:
        lesions: R components of the reference.
        candidates: C components of the prediction, on the same grid.
        confidences: (C,), confidence of each candidate.
    """
    voxels = np.floor(candidates.centres() + 0.5).astype(np.int64) - np.array(lesions.box.start)
    inside = ((voxels >= 0) & (voxels < np.array(lesions.box.shape))).all(axis=1)
    lesion_hit = np.zeros(candidates.count, np.int64)
    lesion_hit[inside] = lesions.labels[tuple(voxels[inside].T)]
    hits = lesion_hit == np.arange(1, lesions.count + 1)[:, None]
    iou = iou_table(lesions, candidates)
    taken = {
        lesion: max(np.flatnonzero(hits[lesion]).tolist(), key=lambda c: (confidences[c], iou[lesion, c]))
        for lesion in range(lesions.count)
        if hits[lesion].any()
    }
    return _matching(taken, iou, hits=hits)


def longest_axial_diameter_mm(mask: NDArray[Any], spacing_mm: Sequence[float]) -> float:
    """Return the largest distance of two points of a mask within one axial slice (a plane across axis 2).

    The distance is measured between outer corners of voxels, so a voxel of 1 mm has √2 mm. It is straight, also outside
    the mask. Separate parts of the mask in one slice count as one.

    Args:
        mask: (I, J, K), boolean or integer; 0 if empty.
        spacing_mm: Voxel spacing along each axis.

    Raises:
        ValueError: The mask is not 3-D, or there is not one spacing above 0 for each axis.
    """
    if mask.ndim != 3 or len(spacing_mm) != 3 or not min(spacing_mm) > 0:
        raise ValueError(
            f"an axial diameter needs a mask with three axes and their spacings above 0, "
            f"got shape {mask.shape} and {tuple(spacing_mm)} mm"
        )
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    inside = mask.astype(bool, copy=False)
    occupied: NDArray[np.bool_] = np.logical_or.reduce(inside, axis=1)
    # The corners with the largest distance are at the first or last voxel of a row.
    edges = inside.argmax(axis=1), inside.shape[1] - inside[:, ::-1].argmax(axis=1)
    longest = 0.0
    for k in np.flatnonzero(occupied.any(axis=0)):
        rows = np.flatnonzero(occupied[:, k])
        corners = np.concatenate([np.column_stack((rows + side, edge[rows, k])) for side in (0, 1) for edge in edges])
        if math.hypot(*(np.ptp(corners, axis=0) * spacing_mm[:2])) > longest:
            hull = corners[ConvexHull(corners).vertices] * spacing_mm[:2]
            longest = max(longest, float(pdist(hull).max()))
    return longest


def _unions(lesions: Components, candidates: Components, both: NDArray[np.int64]) -> NDArray[np.int64]:
    return lesions.voxels[:, None] + candidates.voxels - both


def _matching(taken: dict[int, int], iou: NDArray[np.float64], *, hits: NDArray[np.bool_]) -> Matching:
    lesions = range(len(iou))
    return Matching(
        tuple(taken.get(lesion) for lesion in lesions),
        tuple(float(iou[lesion, taken[lesion]]) if lesion in taken else 0.0 for lesion in lesions),
        tuple(np.flatnonzero(~hits.any(axis=0)).tolist()),
    )

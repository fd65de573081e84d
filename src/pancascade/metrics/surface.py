"""Distances between the surfaces of two masks, in mm.

Two definitions are in use and give different numbers. Both are available by name:

- ``surfel``: the surface runs between the voxels. Its elements are at the corners shared by voxels inside and outside,
  and each counts with its area (Nikolov et al. 2018, arXiv 1809.04430; the package surface-distance).
- ``voxel``: the surface is the voxels of the mask with a face to its outside, each counts as one
  (MONAI, medpy, SimpleITK).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from surface_distance.lookup_tables import create_table_neighbour_code_to_surface_area

from pancascade.imaging.volume import Box

SurfaceDefinition = Literal["surfel", "voxel"]

_MAP_PAYS = 6
"""Number of voxels of a distance map that cost as much as one surface element in a tree."""

_CORNERS = 8
_INSIDE = 2**_CORNERS - 1


@dataclass(frozen=True, eq=False)
class Surface:
    """The surface of one mask.

    Attributes:
        points: (N, 3) int64, voxel indices; for a corner (``surfel``), its neighbour towards higher indices.
        weights: (N,) area in mm² (``surfel``) or 1 (``voxel``).
        spacing_mm: Voxel spacing along each axis.
    """

    points: NDArray[np.int64]
    weights: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]


def find_surface(
    mask: NDArray[Any], spacing_mm: tuple[float, float, float], *, definition: SurfaceDefinition = "surfel"
) -> Surface:
    """Return the surface of a mask; outside the array is background.

    Args:
        mask: (I, J, K), boolean or integer; may be empty.
        spacing_mm: Voxel spacing along each axis.
        definition: Definition of the surface, see the module.

    Raises:
        ValueError: The mask is not 3-D.
    """
    if mask.ndim != 3:
        raise ValueError(f"a surface needs a mask with three axes, got shape {mask.shape}")
    box = Box.around(mask)
    if box is None:
        return Surface(np.zeros((0, 3), np.int64), np.zeros(0), spacing_mm)
    inside = np.pad(mask[box.slices] != 0, 1)
    find = _surfels if definition == "surfel" else _border_voxels
    points, weights = find(inside, spacing_mm)
    return Surface(points + np.array(box.start) - 1, weights, spacing_mm)


def _surfels(
    inside: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return corners between inside and outside, with the areas of their surface elements."""
    bits = inside.astype(np.uint8)
    code = np.zeros(tuple(size - 1 for size in inside.shape), np.uint8)
    for corner in range(_CORNERS):
        # The table counts the eight voxels of a corner from the highest indices (1) down to the lowest (128).
        steps = [1 - (corner >> axis & 1) for axis in (2, 1, 0)]
        part = tuple(slice(step, size - 1 + step) for step, size in zip(steps, inside.shape, strict=True))
        code |= bits[part] << corner
    places = np.argwhere((code != 0) & (code != _INSIDE))
    areas = _surfel_areas(spacing_mm)[code[tuple(places.T)]]
    return places + 1, areas


@lru_cache(maxsize=64)
def _surfel_areas(spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    return np.asarray(create_table_neighbour_code_to_surface_area(spacing_mm), np.float64)


def _border_voxels(
    inside: NDArray[np.bool_], _: tuple[float, float, float]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return voxels of the mask with a face neighbour outside it."""
    core = inside[1:-1, 1:-1, 1:-1].copy()
    for axis in range(3):
        for step in (0, 2):
            part = [slice(1, -1)] * 3
            part[axis] = slice(step, inside.shape[axis] - 2 + step)
            core &= inside[tuple(part)]
    places = np.argwhere(inside[1:-1, 1:-1, 1:-1] & ~core) + 1
    return places, np.ones(len(places))


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances from each surface element of a prediction and its reference to the other's nearest element.

    All distances are infinite if the other surface is empty.

    Attributes:
        prediction_mm: (N,) from the prediction's elements to the reference, ascending.
        prediction_weights: (N,) weights of these elements.
        reference_mm: (M,) from the reference's elements to the prediction, ascending.
        reference_weights: (M,) weights of these elements.
        definition: Definition of the surfaces.
    """

    prediction_mm: NDArray[np.float64]
    prediction_weights: NDArray[np.float64]
    reference_mm: NDArray[np.float64]
    reference_weights: NDArray[np.float64]
    definition: SurfaceDefinition

    def hausdorff_mm(self, percent: float = 95.0) -> float:
        """Return the larger percentile of both directions (HD95 for 95, the Hausdorff distance for 100).

        ``surfel``: the smallest distance that is not exceeded on this share of the surface area. ``voxel``: NumPy's
        linear percentile of the voxels' distances. Infinite if one mask is empty, NaN if both are.
        """
        directions = [
            _percentile(distances, weights, percent, by_area=self.definition == "surfel")
            for distances, weights in (
                (self.prediction_mm, self.prediction_weights),
                (self.reference_mm, self.reference_weights),
            )
            if len(distances)
        ]
        return max(directions, default=float("nan"))

    @property
    def average_mm(self) -> float:
        """Average symmetric surface distance: the weighted mean over the elements of both surfaces together.

        Infinite if one mask is empty, NaN if both are.
        """
        total = self.prediction_weights.sum() + self.reference_weights.sum()
        if not total:
            return float("nan")
        summed = self.prediction_weights @ self.prediction_mm + self.reference_weights @ self.reference_mm
        return float(summed / total)

    def normalised_dice(self, tolerance_mm: float) -> float:
        """Return the normalised surface Dice: the share of both surfaces within the tolerance of the other.

        0 if one mask is empty, NaN if both are.

        Source: Nikolov et al. 2018, arXiv 1809.04430.
        """
        total = self.prediction_weights.sum() + self.reference_weights.sum()
        if not total:
            return float("nan")
        near = self.prediction_weights[self.prediction_mm <= tolerance_mm].sum()
        near += self.reference_weights[self.reference_mm <= tolerance_mm].sum()
        return float(near / total)


def surface_distances(
    prediction: NDArray[Any],
    reference: NDArray[Any],
    spacing_mm: tuple[float, float, float],
    *,
    definition: SurfaceDefinition = "surfel",
) -> SurfaceDistances:
    """Return the distances between the surfaces of two masks.

    Args:
        prediction: (I, J, K), boolean or integer.
        reference: (I, J, K).
        spacing_mm: Voxel spacing along each axis.
        definition: Definition of a surface, see the module.

    Raises:
        ValueError: The shapes differ, or are not 3-D.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, reference {reference.shape}; they must be equal")
    found = find_surface(prediction, spacing_mm, definition=definition)
    true = find_surface(reference, spacing_mm, definition=definition)
    return SurfaceDistances(*_nearest(found, true), *_nearest(true, found), definition)


def _nearest(from_: Surface, to: Surface) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ascending distances in mm of all elements to the other surface, and their weights in that order."""
    if not len(to.points) or not len(from_.points):
        return np.full(len(from_.points), np.inf), from_.weights
    lowest = np.minimum(from_.points.min(axis=0), to.points.min(axis=0))
    extent = np.maximum(from_.points.max(axis=0), to.points.max(axis=0)) - lowest + 1
    # A tree over the surfaces is fast for false positives at any distance, where a distance map of the whole region
    # costs a hundred times more. Only noise has so many surface elements that the map is cheaper.
    speckled = (len(from_.points) + len(to.points)) * _MAP_PAYS > math.prod(extent.tolist())
    distances = _by_map(from_, to, lowest, extent) if speckled else _by_tree(from_, to)
    order = np.argsort(distances, kind="stable")
    return distances[order], from_.weights[order]


def _by_tree(from_: Surface, to: Surface) -> NDArray[np.float64]:
    from scipy.spatial import KDTree  # most measurements need no distances

    spacing_mm = np.asarray(from_.spacing_mm)
    _, nearest = KDTree(to.points * spacing_mm).query(from_.points * spacing_mm)
    # Computed from integer steps, so that a distance equal to a tolerance is exact.
    steps = from_.points - to.points[nearest]
    return np.sqrt(((steps * spacing_mm) ** 2).sum(axis=1))


def _by_map(from_: Surface, to: Surface, lowest: NDArray[np.int64], extent: NDArray[np.int64]) -> NDArray[np.float64]:
    free = np.ones(extent, dtype=bool)
    free[tuple((to.points - lowest).T)] = False
    distances = ndimage.distance_transform_edt(free, sampling=from_.spacing_mm)
    return np.asarray(distances)[tuple((from_.points - lowest).T)]


def _percentile(
    distances: NDArray[np.float64], weights: NDArray[np.float64], percent: float, *, by_area: bool
) -> float:
    if np.isinf(distances[0]):  # between infinities NumPy returns NaN
        return float("inf")
    if not by_area:
        return float(np.percentile(distances, percent))
    share = np.cumsum(weights) / weights.sum()
    return float(distances[min(int(np.searchsorted(share, percent / 100)), len(distances) - 1)])

"""Connected components in 3-D."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from pancascade.imaging.volume import Box, at_least

ALL_26 = np.ones((3, 3, 3), dtype=bool)


def main_components(
    probabilities: NDArray[np.floating[Any]],
    *,
    threshold: float = 0.5,
    share: float = 0.25,
    most: int | None = None,
) -> NDArray[np.bool_]:
    """Return the largest 3-D component of voxels at or above a threshold, and others almost as large.

    The weight of a component is its sum of probabilities. The pancreas is one organ; similar tissue elsewhere in the
    body forms separate components of smaller weight.

    Args:
        probabilities: (I, J, K) in [0, 1].
        threshold: Least probability of a voxel.
        share: Least weight of a kept component, as a share of the largest weight.
        most: Largest number of kept components; None for no limit.

    Returns:
        (I, J, K), all False if nothing reaches the threshold.
    """
    found = _weighed(probabilities, threshold)
    if found is None:
        return np.zeros(probabilities.shape, dtype=bool)
    heavy = np.argsort(-found.weights, kind="stable")[:most]
    return found.mask_of(heavy[found.weights[heavy] >= share * found.weights.max()], probabilities.shape)


def main_organ(
    probabilities: NDArray[np.floating[Any]],
    *,
    spacing_mm: tuple[float, float, float],
    threshold: float = 0.5,
    share: float = 0.1,
    near_mm: float = 12.0,
) -> NDArray[np.bool_]:
    """Return the largest 3-D component of voxels at or above a threshold, and others close to it: one organ.

    Unlike `main_components`, a distant component of any size is dropped, for example gut that looks like pancreas.

    Args:
        probabilities: (I, J, K) in [0, 1].
        spacing_mm: Voxel spacing along the three axes.
        threshold: Least probability of a voxel.
        share: Least weight (sum of probabilities) of another component, as a share of the largest weight.
        near_mm: Largest gap between another component's box and the largest one's, along each axis.

    Returns:
        (I, J, K), all False if nothing reaches the threshold.
    """
    found = _weighed(probabilities, threshold)
    if found is None:
        return np.zeros(probabilities.shape, dtype=bool)
    places = ndimage.find_objects(found.numbers)
    largest = int(np.argmax(found.weights))
    chosen = [
        number
        for number in range(len(places))
        if found.weights[number] >= share * found.weights[largest]
        and _largest_gap_mm(places[number], places[largest], spacing_mm) <= near_mm
    ]
    return found.mask_of(chosen, probabilities.shape)


class _Components(NamedTuple):
    """Components of voxels at or above a threshold: their common box, their numbers in it from 1, and their weights."""

    box: Box
    numbers: NDArray[np.integer[Any]]
    weights: NDArray[np.floating[Any]]

    def mask_of(self, chosen: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return the mask of some components in the whole array; ``chosen`` counts from 0."""
        mask = np.zeros(shape, dtype=bool)
        mask[self.box.slices] = np.isin(self.numbers, np.asarray(chosen) + 1)
        return mask


def _weighed(probabilities: NDArray[np.floating[Any]], threshold: float) -> _Components | None:
    """Return the components of voxels at or above a threshold; None without such a voxel."""
    likely = at_least(probabilities, threshold)
    box = Box.around(likely)
    if box is None:
        return None
    numbers, count = ndimage.label(likely[box.slices], structure=ALL_26)
    weights = ndimage.sum_labels(probabilities[box.slices].astype(np.float32), numbers, index=np.arange(1, count + 1))
    return _Components(box, numbers, weights)


def _largest_gap_mm(one: tuple[slice, ...], other: tuple[slice, ...], spacing_mm: tuple[float, float, float]) -> float:
    """Return the largest gap between two boxes along any axis; 0 if they overlap along all axes."""
    return max(
        max(0, a.start - b.stop, b.start - a.stop) * step for a, b, step in zip(one, other, spacing_mm, strict=True)
    )


def component_boxes(
    probabilities: NDArray[np.floating[Any]], *, spacing_mm: tuple[float, float, float], threshold: float = 0.5
) -> list[Box]:
    """Return a box for each component of `main_organ`, by falling weight; arguments as there."""
    bodies = main_organ(probabilities, spacing_mm=spacing_mm, threshold=threshold)
    components, count = ndimage.label(bodies, structure=ALL_26)
    weights = ndimage.sum_labels(probabilities.astype(np.float32), components, index=np.arange(1, count + 1))
    places = ndimage.find_objects(components)
    return [
        Box(tuple(axis.start for axis in places[n]), tuple(axis.stop for axis in places[n]))
        for n in np.argsort(-weights, kind="stable")
    ]


def touching(mask: NDArray[np.bool_], other: NDArray[np.bool_], *, least_voxels: int = 1) -> NDArray[np.bool_]:
    """Return the components of a mask that touch another mask and have a least size.

    Args:
        mask: (I, J, K).
        other: (I, J, K).
        least_voxels: Smaller components are dropped.
    """
    kept = np.zeros(mask.shape, dtype=bool)
    box = Box.around(mask)
    if box is None:
        return kept
    around = box.expand(1).clip(mask.shape)
    components, count = ndimage.label(mask[around.slices], structure=ALL_26)
    near = ndimage.binary_dilation(other[around.slices], structure=ALL_26)
    touched = np.bincount(components[near], minlength=count + 1) > 0
    large = np.bincount(components.ravel(), minlength=count + 1) >= least_voxels
    kept[around.slices] = (touched & large & (np.arange(count + 1) > 0))[components]
    return kept

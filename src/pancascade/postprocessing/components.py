"""Connected components: what belongs together in 3-D."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.volume import Box

ALL_26 = np.ones((3, 3, 3), dtype=bool)


def main_bodies(
    probabilities: NDArray[np.floating[Any]],
    *,
    threshold: float = 0.5,
    share: float = 0.25,
    most: int | None = None,
) -> NDArray[np.bool_]:
    """The heaviest 3-D component of what is likely, and others almost as heavy.

    Weight is the sum of probabilities. The pancreas is one organ; slices elsewhere in the body in which something
    looks like it form components of their own, and lighter ones.

    Args:
        probabilities: (I, J, K) in [0, 1].
        threshold: Least probability of a voxel.
        share: Least weight of a kept component, of the heaviest one's.
        most: How many components are kept; None for all that are heavy enough.

    Returns:
        (I, J, K), all False if nothing reaches the threshold.
    """
    likely = probabilities >= threshold
    kept = np.zeros(likely.shape, dtype=bool)
    box = Box.around(likely)
    if box is None:
        return kept
    components, count = ndimage.label(likely[box.slices], structure=ALL_26)
    weights = ndimage.sum_labels(
        probabilities[box.slices].astype(np.float32), components, index=np.arange(1, count + 1)
    )
    heavy = np.argsort(-weights, kind="stable")[:most]
    chosen = heavy[weights[heavy] >= share * weights.max()] + 1
    kept[box.slices] = np.isin(components, chosen)
    return kept


def body_boxes(probabilities: NDArray[np.floating[Any]], *, threshold: float = 0.5) -> list[Box]:
    """A box around each of the `main_bodies`, the heaviest first; arguments as there."""
    bodies = main_bodies(probabilities, threshold=threshold)
    pieces, count = ndimage.label(bodies, structure=ALL_26)
    weights = ndimage.sum_labels(probabilities.astype(np.float32), pieces, index=np.arange(1, count + 1))
    places = ndimage.find_objects(pieces)
    return [
        Box(tuple(axis.start for axis in places[n]), tuple(axis.stop for axis in places[n]))
        for n in np.argsort(-weights, kind="stable")
    ]


def touching(mask: NDArray[np.bool_], other: NDArray[np.bool_], *, least_voxels: int = 1) -> NDArray[np.bool_]:
    """The components of a mask that touch another mask and have a least size.

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

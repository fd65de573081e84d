"""Is a label map the right way round? The pancreas is brighter than the fat about it, but only where it really lies."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.volume import Box

Flips = tuple[bool, bool, bool]
"""Which axes of an array are turned round."""

ALL_FLIPS: tuple[Flips, ...] = tuple(itertools.product((False, True), repeat=3))  # type: ignore[arg-type]
AS_IT_IS: Flips = (False, False, False)

SHELL_VOXELS = 2
LOWEST_HU, HIGHEST_HU = -150, 250


def contrast(hu: NDArray[Any], mask: NDArray[np.bool_]) -> float:
    """How much brighter a mask is than the two voxels around it, in HU; NaN for an empty mask or one without surround.

    Of 63 outlined pancreata with ductal carcinoma it was 10 to 83 HU, and for the same masks turned round along any
    axes never above 37, nor above 77 % of the right one's (`benchmarks/label_flips.py`).

    Args:
        hu: (I, J, K).
        mask: (I, J, K).
    """
    box = Box.around(mask)
    if box is None:
        return float("nan")
    wide = box.expand(SHELL_VOXELS + 1).clip(mask.shape)
    inside = mask[wide.slices]
    shell = ndimage.binary_dilation(inside, iterations=SHELL_VOXELS) & ~inside
    if not shell.any():
        return float("nan")
    seen = np.clip(hu[wide.slices].astype(np.float32), LOWEST_HU, HIGHEST_HU)
    return float(seen[inside].mean() - seen[shell].mean())


def turned(mask: NDArray[Any], flips: Flips) -> NDArray[Any]:
    """A view of the array with these axes turned round."""
    return mask[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


def contrast_of_flips(hu: NDArray[Any], mask: NDArray[np.bool_]) -> dict[Flips, float]:
    """The contrast of a mask turned round along every choice of axes, in HU.

    Args:
        hu: (I, J, K).
        mask: (I, J, K).
    """
    return {flips: contrast(hu, turned(mask, flips)) for flips in ALL_FLIPS}


def best_flips(hu: NDArray[Any], mask: NDArray[np.bool_]) -> Flips:
    """The axes to turn a mask round along so that it shows the organ best; none for an empty mask."""
    found = contrast_of_flips(hu, mask)
    known = {flips: value for flips, value in found.items() if not np.isnan(value)}
    return max(known, key=lambda flips: (known[flips], flips == AS_IT_IS)) if known else AS_IT_IS

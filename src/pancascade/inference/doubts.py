"""Reasons to doubt a result, in plain sentences."""

import numpy as np

from pancascade.labels import Label
from pancascade.volume import Volume

PLAUSIBLE_PANCREAS_ML = (15.0, 250.0)


def doubts(mask: Volume) -> list[str]:
    """What a reader should know before trusting a mask.

    Args:
        mask: Labels on the scan's grid.
    """
    counts = np.bincount(mask.voxels.ravel(), minlength=len(Label))
    organ_ml = float(counts[Label.PANCREAS] + counts[Label.TUMOUR]) * mask.voxel_volume_ml
    if organ_ml == 0:
        return ["No pancreas was found: the scan may not show it, or the model missed it. Look at the scan."]
    found = []
    smallest, largest = PLAUSIBLE_PANCREAS_ML
    if organ_ml < smallest:
        found.append(f"The pancreas found is small ({organ_ml:.1f} mL < {smallest:g} mL): part may be missing.")
    if organ_ml > largest:
        found.append(f"The pancreas found is large ({organ_ml:.0f} mL > {largest:g} mL): other tissue may be in it.")
    return found + _cut_off(mask)


def _cut_off(mask: Volume) -> list[str]:
    vertical = next(axis for axis in range(3) if mask.orientation[axis] in "SI")
    ends = [np.take(mask.voxels, index, axis=vertical).any() for index in (0, -1)]
    if any(ends):
        return ["The pancreas reaches the first or last slice: the scan may not show all of it."]
    return []

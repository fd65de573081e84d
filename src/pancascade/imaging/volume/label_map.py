"""Label maps that a stored slope made slightly non-integer, as nibabel does with floats."""

from dataclasses import replace

import numpy as np

from pancascade.imaging.volume.volume import Volume

NEARLY = 1e-3
"""Largest difference of a stored label from its whole number."""


def as_label_map(volume: Volume) -> Volume:
    """Return the volume with rounded values if all are nearly whole; else the volume unchanged.

    1.0000153, which an int16 file with a slope of 1.0000153 makes of 1, becomes 1. Probabilities and interpolated masks
    stay unchanged, so that the caller can refuse them.

    Args:
        volume: (I, J, K), any type.
    """
    if volume.voxels.dtype.kind != "f":
        return volume
    whole = np.rint(volume.voxels)
    with np.errstate(invalid="ignore"):  # the difference of infinite values is NaN
        farthest = np.max([np.abs(part - near).max() for part, near in zip(volume.voxels, whole, strict=True)])
    return replace(volume, voxels=whole) if 0 < farthest <= NEARLY else volume

"""Label maps whose whole numbers were stored with a slope, as nibabel does with floats, and so are not quite whole."""

from dataclasses import replace

import numpy as np

from pancascade.imaging.volume.volume import Volume

NEARLY = 1e-3
"""Farthest that a stored label may lie from its whole number."""


def as_label_map(volume: Volume) -> Volume:
    """The volume with whole numbers where all of its values are nearly whole; else the volume as it is.

    1.0000153, which an int16 file with a slope of 1.0000153 makes of 1, becomes 1. Probabilities and interpolated masks
    stay what they are, for whoever reads them to refuse.

    Args:
        volume: (I, J, K), any type.
    """
    if volume.voxels.dtype.kind != "f":
        return volume
    whole = np.rint(volume.voxels)
    with np.errstate(invalid="ignore"):  # infinite ones differ by NaN
        farthest = np.max([np.abs(part - near).max() for part, near in zip(volume.voxels, whole, strict=True)])
    return replace(volume, voxels=whole) if 0 < farthest <= NEARLY else volume

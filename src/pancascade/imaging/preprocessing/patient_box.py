"""Bounding box of the patient in a scan."""

import numpy as np
from scipy import ndimage

from pancascade.imaging.volume import Box, Volume, sampled

AIR_HU = -300
STRIDE_MM = 4.0


def patient_box(volume: Volume, *, margin_mm: float = 8.0) -> Box:
    """Return the box of the patient, so that air and table need not be processed.

    The body is the largest connected component denser than `AIR_HU`, computed on a coarse grid. The box spans all
    slices along the third axis.

    Args:
        volume: (I, J, K) Hounsfield units with the third axis along the body (LPS or RAS).
        margin_mm: Width added within the slices.

    Returns:
        The box; the whole volume if nothing is dense.
    """
    steps = tuple(max(1, round(STRIDE_MM / spacing)) for spacing in volume.spacing_mm)
    coarse = sampled(volume.voxels, steps) > AIR_HU
    # A thin table touches the patient in few voxels; the opening separates them.
    pieces, count = ndimage.label(ndimage.binary_opening(coarse, iterations=2))
    if count == 0:
        return Box.whole(volume.shape)
    largest = int(np.argmax(np.bincount(pieces.ravel())[1:])) + 1
    found = Box.around(pieces == largest) or Box.whole(pieces.shape)
    start = [found.start[axis] * steps[axis] for axis in (0, 1)]
    stop = [found.stop[axis] * steps[axis] for axis in (0, 1)]
    inside = Box((*start, 0), (*stop, volume.shape[2]))
    return inside.expand_mm((margin_mm + STRIDE_MM, margin_mm + STRIDE_MM, 0), spacing_mm=volume.spacing_mm).clip(
        volume.shape
    )

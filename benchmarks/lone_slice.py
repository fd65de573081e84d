"""A lone slice as a little scan."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from pancascade.datasets import AxialSlice
from pancascade.volume import Volume

EQUAL_SLICES = 12
SLICE_MM = 2.5
PIXEL_MM = 0.8


def as_volume(axial: AxialSlice) -> tuple[Volume, NDArray[np.uint8]]:
    """Equal slices with air around the patient: the picture does not tell air (−1000 HU) from fat (0 and below)."""
    outline = patient_outline(axial.hu)
    hu = np.where(outline, axial.hu, -1000).astype(np.int16)
    affine = np.diag([-PIXEL_MM, -PIXEL_MM, SLICE_MM, 1.0])
    labels = np.repeat(axial.labels.T[:, :, None], EQUAL_SLICES, axis=2)
    return Volume(np.repeat(hu.T[:, :, None], EQUAL_SLICES, axis=2), affine), labels


def patient_outline(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Hull of the lean tissue (H, W) and 8 mm of skin and fat around it; thin tables are left out."""
    lean = ndimage.binary_closing(np.pad(hu > 25, 20), iterations=12)[20:-20, 20:-20]
    pieces, _ = ndimage.label(ndimage.binary_opening(ndimage.binary_fill_holes(lean), iterations=4))
    largest = int(np.argmax(np.bincount(pieces.ravel())[1:])) + 1
    hull = convex_hull_image(pieces == largest)  # type: ignore[no-untyped-call]
    return ndimage.binary_dilation(hull, iterations=round(8 / PIXEL_MM))

"""Cropping a scan to a box, and pasting results back."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pancascade.errors import GeometryError
from pancascade.imaging.volume.box import Box
from pancascade.imaging.volume.volume import Volume


def crop(volume: Volume, box: Box) -> Volume:
    """Return the part of a scan inside a box, at its position in the patient. A view, not a copy.

    Args:
        volume: (I, J, K).
        box: 3-D, inside the volume; `box.clip(volume.shape)` makes it so.

    Returns:
        Voxels of shape `box.shape`, the affine shifted by `box.start`.

    Raises:
        GeometryError: the box is empty, not 3-D, or reaches outside the volume.
    """
    _require_inside(box, volume.shape, name=volume.name)
    affine = volume.affine.copy()
    affine[:3, 3] += volume.affine[:3, :3] @ np.asarray(box.start, dtype=np.float64)
    return Volume(volume.voxels[box.slices], affine, volume.source)


def paste(patch: npt.NDArray[Any], box: Box, *, onto: npt.NDArray[Any]) -> None:
    """Write a patch into its box of a larger array, in place.

    Several patches can be pasted into one array without copies; for a mask, `onto` starts as zeros.

    Args:
        patch: Of shape `box.shape`, 2-D or 3-D.
        box: Inside `onto`.
        onto: The array to change. Its dtype must hold the patch's kind: floats can take integers, not the reverse.

    Raises:
        GeometryError: the box is empty or reaches outside `onto`, or the patch has another shape.
        TypeError: the dtype of `onto` cannot hold the patch.
    """
    _require_inside(box, onto.shape, name="paste")
    if patch.shape != box.shape:
        raise GeometryError(f"paste: the patch has shape {patch.shape}, its box {box.shape}. Crop with this box.")
    np.copyto(onto[box.slices], patch, casting="same_kind")


def _require_inside(box: Box, shape: tuple[int, ...], *, name: str) -> None:
    if len(box.start) != len(shape) or min(box.shape) == 0 or not Box.whole(shape).contains(box):
        raise GeometryError(
            f"{name}: the box from {box.start} to {box.stop} is empty or reaches outside the array "
            f"of shape {shape}. Clip the box to the shape first."
        )

"""Checks that a grid can be that of a CT: spacing, right angles, size."""

import math

import numpy as np

from pancascade.errors import GeometryError
from pancascade.imaging.io.image_files import MAX_VOXELS
from pancascade.imaging.volume import Volume

# The limit for DICOM series.
_SHEAR_DEGREES = 0.5


def slice_axis_of(volume: Volume) -> int:
    """Return the axis of the array that is closest to the body's axis."""
    return int(np.argmax(np.abs(volume.affine[2, :3] / volume.spacing_mm)))


def require_spacing(volume: Volume) -> None:
    """Check the voxel spacing of a scan or label map; an impossible one would be reported as lack of memory.

    Raises:
        GeometryError: a spacing that no CT has.
    """
    for axis, spacing_mm in enumerate(volume.spacing_mm):
        if not 0.1 <= spacing_mm <= 20:
            raise GeometryError(
                f"{volume.name}: voxel spacing is {spacing_mm:g} mm along axis {axis}, CT has 0.1 to 20 mm. "
                "Check the header's units and re-export the scan.",
                code="spacing_impossible",
            )


def require_right_angles(volume: Volume) -> None:
    """Check that voxels are boxes; on a sheared grid, as of a tilted DICOM series, measurements would be wrong.

    Raises:
        GeometryError: axes that are not at right angles.
    """
    axes = volume.affine[:3, :3] / volume.spacing_mm
    slice_axis = slice_axis_of(volume)
    first, second = (axes[:, axis] for axis in range(3) if axis != slice_axis)
    skewed_degrees = math.degrees(math.asin(min(1.0, abs(float(first @ second)))))
    if skewed_degrees > _SHEAR_DEGREES:
        raise GeometryError(
            f"{volume.name}: rows and columns are {skewed_degrees:.1f} degrees off a right angle, so voxels are not "
            "boxes. Resample the scan onto an orthogonal grid first.",
            code="directions_impossible",
        )
    normal = np.cross(first, second)
    lean = abs(float(axes[:, slice_axis] @ normal)) / float(np.linalg.norm(normal))
    tilt_degrees = math.degrees(math.acos(min(1.0, lean)))
    if tilt_degrees > _SHEAR_DEGREES:
        raise GeometryError(
            f"{volume.name}: the stack of slices leans by {tilt_degrees:.1f} degrees (gantry tilt), so its voxels are "
            "not boxes. Resample it onto an orthogonal grid first.",
            code="gantry_tilt",
        )


def require_ct_size(volume: Volume, *, in_plane: list[int]) -> None:
    """Check the number of voxels and the extent in the plane of the slices.

    Args:
        volume: (I, J, K), any orientation.
        in_plane: The two axes of a slice.

    Raises:
        GeometryError: a size that no CT of an abdomen has.
    """
    name, shape, spacing_mm = volume.name, volume.shape, volume.spacing_mm
    if volume.voxels.size > MAX_VOXELS or max(shape) > 3000:
        raise GeometryError(
            f"{name}: {shape} voxels are too many for a CT scan. Crop or resample it first.", code="too_many_voxels"
        )
    for axis in in_plane:
        if shape[axis] < 16:
            raise GeometryError(
                f"{name}: only {shape[axis]} voxels along in-plane axis {axis}, at least 16 are needed. "
                "Give the whole scan.",
                code="too_small",
            )
        if shape[axis] * spacing_mm[axis] < 60:
            raise GeometryError(
                f"{name}: only {shape[axis] * spacing_mm[axis]:.0f} mm along in-plane axis {axis}, which "
                "holds no abdomen; at least 60 mm are needed. Check the spacing or give the whole scan.",
                code="too_small",
            )

"""Bring a mask onto the scan's grid."""

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import GeometryError
from pancascade.imaging.io.dicom.masks import DicomMask
from pancascade.imaging.volume import Volume, onto_planes, reorient, resample_onto
from pancascade.inference.pipeline.segment_series import require_reference

SAME_GRID_VOX = 0.1
"""Largest difference of two grids, as a share of a voxel, that still counts as rounding of headers."""

PARALLEL = 0.9999
"""Least cosine between two axes that count as parallel."""


def on_grid_of(scan_lps: Volume, mask: Volume, segments: DicomMask | None) -> tuple[Volume, bool]:
    """Return a mask on the grid of the scan, and whether it was resampled.

    Args:
        scan_lps: The scan, LPS.
        mask: 0 and 1, in any orientation, on the scan's grid or on one with other voxels that covers the same space.
            A mask of DICOM segments may lack planes.
        segments: The DICOM-SEG that the mask is from; None for other masks.

    Raises:
        GeometryError: The mask covers another space, or was made on a scan in another frame of reference.
    """
    turned = reorient(mask, "LPS")
    if turned.on_same_grid_as(scan_lps, tolerance_mm=SAME_GRID_VOX * min(scan_lps.spacing_mm)):
        require_reference(segments, scan_lps)
        return turned, False
    if segments is None:
        _require_same_space(turned, scan_lps)
    else:
        require_reference(segments, scan_lps)
        placed = onto_planes(turned, scan_lps, gaps=scan_lps.series in segments.series)
        if placed is not None:
            return scan_lps.with_voxels(placed), False
        _require_inside(turned, scan_lps)
    return resample_onto(turned.with_voxels(turned.voxels.astype(np.uint8)), scan_lps, order=0), True


def _require_same_space(mask: Volume, scan_lps: Volume) -> None:
    """Accept grids with the same axes whose outer edges lie within a voxel of each other."""
    first, last, within = _edges(mask, scan_lps)
    if not _parallel(mask, scan_lps) or (np.abs(first) > within).any() or (np.abs(last) > within).any():
        raise GeometryError(
            f"{mask.name}: the mask of the pancreas does not cover the space of {scan_lps.name}: it is of another "
            "scan, cropped or moved. Resample it onto the scan's grid.",
            code="other_grid",
        )


def _require_inside(mask: Volume, scan_lps: Volume) -> None:
    """Accept planes that lie within the scan; missing planes count as empty."""
    first, last, within = _edges(mask, scan_lps)
    if not _parallel(mask, scan_lps) or (first < -within).any() or (last > within).any():
        raise GeometryError(
            f"{mask.name}: the segments lie outside {scan_lps.name}, or are rotated against it: they are of another "
            "scan. Give the mask of this one.",
            code="other_grid",
        )


def _parallel(mask: Volume, scan_lps: Volume) -> bool:
    ours, theirs = (one.affine[:3, :3] / one.spacing_mm for one in (scan_lps, mask))
    return bool(((ours * theirs).sum(axis=0) >= PARALLEL).all())


def _edges(mask: Volume, scan_lps: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return how far the first and last edges of a mask lie beyond the scan's along its axes, and the tolerance; mm."""
    axes = scan_lps.affine[:3, :3] / scan_lps.spacing_mm
    first, last = (axes.T @ (_edge(mask, far=far) - _edge(scan_lps, far=far)) for far in (False, True))
    within = np.array([mask.spacing_mm, scan_lps.spacing_mm]).max(axis=0) * (1 + SAME_GRID_VOX)
    return first, last, within


def _edge(volume: Volume, *, far: bool) -> NDArray[np.float64]:
    """Return the outer corner of the first or last voxel, in mm."""
    corner = np.array(volume.shape) - 0.5 if far else np.full(3, -0.5)
    placed: NDArray[np.float64] = volume.affine[:3, :3] @ corner + volume.affine[:3, 3]
    return placed

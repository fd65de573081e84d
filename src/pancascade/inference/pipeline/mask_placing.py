"""A mask brought onto the scan's grid."""

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import GeometryError
from pancascade.imaging.io.dicom.masks import DicomMask
from pancascade.imaging.volume import Volume, onto_planes, reorient, resample_onto
from pancascade.inference.pipeline.segment_series import require_reference

SAME_GRID_VOX = 0.1
"""Places of two grids may differ by this share of a voxel: headers are rounded."""

PARALLEL = 0.9999
"""Least cosine between axes that count as the same."""


def on_grid_of(scan_lps: Volume, mask: Volume, segments: DicomMask | None) -> tuple[Volume, bool]:
    """A mask on the grid of the scan, and whether it was resampled.

    Args:
        scan_lps: The scan, LPS.
        mask: 0 and 1, on the scan's grid, turned or flipped as it may be, or on one that covers the same space
            with other voxels. Of segments, planes may be missing.
        segments: Of DICOM, where the mask is from.

    Raises:
        GeometryError: It covers another space, or was made on a scan in another frame of reference.
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
    """Pass for grids with the same axes whose outer edges lie within a voxel of each other."""
    first, last, within = _edges(mask, scan_lps)
    if not _parallel(mask, scan_lps) or (np.abs(first) > within).any() or (np.abs(last) > within).any():
        raise GeometryError(
            f"{mask.name}: the mask of the pancreas does not cover the space of {scan_lps.name}: it is of another "
            "scan, cropped or moved. Resample it onto the scan's grid.",
            code="other_grid",
        )


def _require_inside(mask: Volume, scan_lps: Volume) -> None:
    """Pass for planes that lie within the scan; what they leave out holds nothing."""
    first, last, within = _edges(mask, scan_lps)
    if not _parallel(mask, scan_lps) or (first < -within).any() or (last > within).any():
        raise GeometryError(
            f"{mask.name}: the segments lie beside {scan_lps.name}, or turned against it: they are of another scan. "
            "Give the mask of this one.",
            code="other_grid",
        )


def _parallel(mask: Volume, scan_lps: Volume) -> bool:
    ours, theirs = (one.affine[:3, :3] / one.spacing_mm for one in (scan_lps, mask))
    return bool(((ours * theirs).sum(axis=0) >= PARALLEL).all())


def _edges(mask: Volume, scan_lps: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How far the first and the last edges of a mask lie behind the scan's, along its axes; how much is rounding."""
    axes = scan_lps.affine[:3, :3] / scan_lps.spacing_mm
    first, last = (axes.T @ (_edge(mask, far=far) - _edge(scan_lps, far=far)) for far in (False, True))
    within = np.array([mask.spacing_mm, scan_lps.spacing_mm]).max(axis=0) * (1 + SAME_GRID_VOX)
    return first, last, within


def _edge(volume: Volume, *, far: bool) -> NDArray[np.float64]:
    """A corner of the outermost voxels, in mm."""
    corner = np.array(volume.shape) - 0.5 if far else np.full(3, -0.5)
    placed: NDArray[np.float64] = volume.affine[:3, :3] @ corner + volume.affine[:3, 3]
    return placed

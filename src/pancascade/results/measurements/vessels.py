"""Contact of a lesion with a vessel: distance, part of the circumference, length."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.errors import ScanError
from pancascade.imaging.volume import Box, Volume, crop
from pancascade.results.measurements.polyline import Line
from pancascade.results.measurements.table import VesselContact
from pancascade.results.measurements.vessel_lines import vessel_lines

_RAYS = 72
_STATION_MM = 1.0
_SAMPLE_MM = 0.25
_TOUCHING_MM = 1e-3
_SURROUNDINGS_MM = 20.0
_WIDEST_MM = 25.0
"""A ray that does not leave the vessel within this length runs into a branch."""


def vessel_contact(lesion: Volume, vessel: Volume, name: str) -> VesselContact:
    """Measure the distance of a lesion to a vessel, and the angle and length of their contact.

    The distance is the least one between the corners of their voxels; voxels that share a corner touch. For the
    contact, 72 rays start in the middle of each cross-section, at a right angle to the vessel's centre lines
    (`vessel_lines`); there is a cross-section every millimetre. A ray has contact if it meets the lesion within one
    voxel's width (along the ray) before or behind the point where it leaves the vessel. Both masks are interpolated
    linearly between voxel centres, and end at the value ½. The contact of a cross-section is the share of its rays
    with contact; the length is the number of cross-sections with contact, in mm, over all branches.

    Args:
        lesion: Boolean (I, J, K), on any grid.
        vessel: Boolean (L, M, N), on any grid in the same patient.
        name: Name of the vessel.

    Returns:
        The contact; 0 degrees and 0 mm where they do not touch within a voxel.

    Raises:
        ScanError: A mask is empty.
    """
    lesion_box, vessel_box = (_box_of(mask, what) for mask, what in ((lesion, "lesion"), (vessel, name)))
    lesion, vessel = _padded(lesion, lesion_box), _padded(vessel, vessel_box)
    distance_mm = _distance_mm(lesion, vessel)
    degrees, length = 0.0, 0.0
    if distance_mm <= _voxel_diagonal_mm(vessel):
        near = _near(vessel, lesion)
        shares = [_contact_shares(lesion, near, line) for line in vessel_lines(near, step_mm=_STATION_MM)]
        all_shares = np.concatenate([*shares, np.zeros(1)])
        degrees = float(all_shares.max() * 360)
        length = float(np.count_nonzero(all_shares) * _STATION_MM)
    return VesselContact(vessel=name, distance_mm=distance_mm, contact_degrees=degrees, contact_length_mm=length)


def _box_of(mask: Volume, what: str) -> Box:
    box = Box.around(mask.voxels)
    if box is None:
        raise ScanError(
            f"{mask.name}: the mask of {what} holds no voxel, so there is no contact to measure. Leave it out."
        )
    return box


def _padded(mask: Volume, box: Box) -> Volume:
    """Return the mask's box as float32 with a margin of one background voxel, at its place in the patient."""
    affine = mask.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ (np.array(box.start) - 1.0)
    return Volume(np.pad((mask.voxels[box.slices] != 0).astype(np.float32), 1), affine, mask.source)


def _distance_mm(lesion: Volume, vessel: Volume) -> float:
    from scipy.spatial import KDTree

    distances, _ = KDTree(_surface_corners_mm(vessel)).query(_surface_corners_mm(lesion))
    nearest = float(np.min(distances))
    return 0.0 if nearest <= _TOUCHING_MM else nearest


def _surface_corners_mm(mask: Volume) -> NDArray[np.float64]:
    """Return (N, 3) RAS+ mm of the voxel corners between inside and outside; the mask has a background margin."""
    inside = mask.voxels != 0
    some = np.zeros(tuple(size - 1 for size in inside.shape), np.uint8)
    for corner in range(8):
        some += inside[
            tuple(slice(corner >> axis & 1, size - 1 + (corner >> axis & 1)) for axis, size in enumerate(inside.shape))
        ]
    return (np.argwhere((some > 0) & (some < 8)) + 0.5) @ mask.affine[:3, :3].T + mask.affine[:3, 3]


def _voxel_diagonal_mm(mask: Volume) -> float:
    signs = np.array([(1, a, b) for a in (-1, 1) for b in (-1, 1)])
    return float(np.linalg.norm(signs @ mask.affine[:3, :3].T, axis=1).max())


def _near(vessel: Volume, lesion: Volume) -> Volume:
    """Return the part of a vessel in the lesion's box and 20 mm around it."""
    low, high = (np.array(corner) for corner in Box.whole(lesion.shape).corners_mm(lesion.affine))
    ends = np.stack(np.meshgrid(*np.stack((low, high), axis=1), indexing="ij"), axis=-1).reshape(-1, 3)
    places = (ends - vessel.affine[:3, 3]) @ np.linalg.inv(vessel.affine[:3, :3]).T
    box = Box(tuple(np.floor(places.min(axis=0)).astype(int)), tuple(np.ceil(places.max(axis=0)).astype(int) + 1))
    return crop(vessel, box.expand_mm(_SURROUNDINGS_MM, spacing_mm=vessel.spacing_mm).clip(vessel.shape))


@dataclass(frozen=True, eq=False)
class _Section:
    """S cross-sections of a vessel.

    Attributes:
        centres_mm: (S, 3).
        rays: (S, R, 3), unit vectors.
        radii_mm: (S, R), distance at which each ray leaves the vessel; infinite where it does not.
    """

    centres_mm: NDArray[np.float64]
    rays: NDArray[np.float64]
    radii_mm: NDArray[np.float64]


def _contact_shares(lesion: Volume, vessel: Volume, line: Line) -> NDArray[np.float64]:
    """Return (S,) the share of rays with contact, for each cross-section along a line."""
    reached = _within_reach(line, lesion)
    if len(line) < 2 or not reached.any():
        return np.zeros(1)
    directions = np.gradient(line, axis=0)[reached]
    rays = _rays(directions)
    first = _Section(line[reached], rays, _radii_mm(vessel, line[reached], rays))
    centres_mm = _middles(first)
    section = _Section(centres_mm, rays, _radii_mm(vessel, centres_mm, rays))
    return _touched(lesion, vessel, section).mean(axis=1)


def _within_reach(line: Line, lesion: Volume) -> NDArray[np.bool_]:
    low, high = (np.array(corner) for corner in Box.whole(lesion.shape).corners_mm(lesion.affine))
    outside_mm = np.linalg.norm(np.maximum(0, np.maximum(low - line, line - high)), axis=1)
    return outside_mm <= _WIDEST_MM


def _rays(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (S, R, 3) unit vectors in all directions at a right angle to each direction (S, 3)."""
    along = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    least = np.eye(3)[np.argmin(np.abs(along), axis=1)]
    first = np.cross(along, least)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    angles = np.arange(_RAYS) * (2 * np.pi / _RAYS)
    return np.cos(angles)[:, None] * first[:, None] + np.sin(angles)[:, None] * second[:, None]


def _radii_mm(vessel: Volume, centres_mm: NDArray[np.float64], rays: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (S, R) where rays first leave the vessel, mm; infinite if they do not, 0 if the centre is outside."""
    along = np.arange(0, _WIDEST_MM, _SAMPLE_MM)
    inside = _sampled(vessel, centres_mm[:, None, None] + rays[:, :, None] * along[:, None])
    outside = inside < 0.5
    return np.where(outside.any(axis=2), along[outside.argmax(axis=2)], np.inf)


def _middles(section: _Section) -> NDArray[np.float64]:
    """Return (S, 3) centroids of the cross-sections; radii are limited to 1.5 times their median, against branches."""
    medians = np.median(section.radii_mm, axis=1, keepdims=True)
    medians = np.where(np.isfinite(medians), medians, 0)
    radii = np.minimum(section.radii_mm, 1.5 * medians)
    areas = np.maximum((radii**2).sum(axis=1), 1e-12)
    return section.centres_mm + (radii[:, :, None] ** 3 * section.rays).sum(axis=1) * (2 / 3) / areas[:, None]


def _touched(lesion: Volume, vessel: Volume, section: _Section) -> NDArray[np.bool_]:
    """Return (S, R) whether the lesion is on a ray within a voxel's width of where it leaves the vessel."""
    voxels_a_mm = np.abs(section.rays @ np.linalg.inv(vessel.affine[:3, :3]).T).max(axis=2)
    tolerance_mm = 1 / voxels_a_mm
    steps = np.linspace(-1, 1, 2 * int(np.ceil(tolerance_mm.max() / _SAMPLE_MM)) + 1)
    leaving = np.isfinite(section.radii_mm) & (section.radii_mm > 0)
    radii = np.where(leaving, section.radii_mm, 0)
    along = np.maximum(0, radii[:, :, None] + tolerance_mm[:, :, None] * steps)
    values = _sampled(lesion, section.centres_mm[:, None, None] + section.rays[:, :, None] * along[..., None])
    return leaving & (values >= 0.5).any(axis=2)


def _sampled(mask: Volume, points_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return linearly interpolated values of a mask (float32) at points (..., 3); 0 outside."""
    inverse = np.linalg.inv(mask.affine)
    places = points_mm.reshape(-1, 3) @ inverse[:3, :3].T + inverse[:3, 3]
    values = ndimage.map_coordinates(
        mask.voxels, places.T, order=1, mode="constant", output=np.float32, prefilter=False
    )
    return values.reshape(points_mm.shape[:-1])

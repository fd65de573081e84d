"""Solids of known size on grids of every kind."""

import itertools

import numpy as np

from pancascade.imaging.volume import Volume


def turned(*, about_x: float = 0.0, about_y: float = 0.0, about_z: float = 0.0) -> np.ndarray:
    """Rotation by angles in degrees."""
    whole = np.eye(3)
    for angle, (first, second) in ((about_x, (1, 2)), (about_y, (2, 0)), (about_z, (0, 1))):
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(np.radians(angle))
        turn[second, first] = np.sin(np.radians(angle))
        turn[first, second] = -turn[second, first]
        whole = turn @ whole
    return whole


def grid(spacing_mm, rotation=None, *, half_mm=30.0, centre_mm=(0.0, 0.0, 0.0)):
    """Affine of a cube of voxels around a point, and RAS+ mm of all voxels (I, J, K, 3)."""
    axes = (np.eye(3) if rotation is None else rotation) @ np.diag(spacing_mm)
    shape = [int(np.ceil(2 * half_mm / spacing)) for spacing in spacing_mm]
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = np.array(centre_mm) - axes @ ((np.array(shape) - 1) / 2)
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return affine, places @ axes.T + affine[:3, 3]


def ellipsoid(affine, points_mm, *, centre_mm, half_axes_mm, directions=None) -> Volume:
    """An ellipsoid; its axes are the columns of directions."""
    along = (points_mm - np.array(centre_mm)) @ (np.eye(3) if directions is None else directions)
    return Volume(((along / np.array(half_axes_mm)) ** 2).sum(axis=-1) <= 1, affine)


def box(affine, points_mm, *, centre_mm, sides_mm, directions=None) -> Volume:
    """A box; its sides run along the columns of directions."""
    along = (points_mm - np.array(centre_mm)) @ (np.eye(3) if directions is None else directions)
    return Volume((np.abs(along) <= np.array(sides_mm) / 2).all(axis=-1), affine)


def tube(affine, points_mm, line_mm, radius_mm) -> Volume:
    """All within a radius of a line (N, 3)."""
    from scipy.spatial import KDTree

    distances, _ = KDTree(line_mm).query(points_mm.reshape(-1, 3))
    return Volume((distances <= radius_mm).reshape(points_mm.shape[:3]), affine)


def all_ways_round(volume: Volume):
    """The same voxels in the same places, stored in all 48 orders."""
    for axes in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            voxels = volume.voxels.transpose(axes)
            affine = volume.affine.copy()
            affine[:3, :3] = volume.affine[:3, list(axes)]
            for axis, flip in enumerate(flips):
                if flip:
                    voxels = np.flip(voxels, axis)
                    affine[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
                    affine[:3, axis] *= -1
            yield Volume(voxels, affine)

"""Grids as scanners and preprocessing leave them: flipped, permuted, oblique, anisotropic."""

import numpy as np

from pancascade.imaging.volume import Volume


def rotation(about: int, degrees: float) -> np.ndarray:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = (axis for axis in range(3) if axis != about)
    matrix = np.eye(3)
    matrix[[first, second], [first, second]] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def grid(axes: np.ndarray, *, spacing: tuple[float, float, float], origin: tuple[float, float, float]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = origin
    return affine


GRIDS = {
    "plain": grid(np.eye(3), spacing=(1, 1, 1), origin=(0, 0, 0)),
    "flipped": grid(np.diag([-1.0, -1.0, 1.0]), spacing=(0.7, 0.7, 2.5), origin=(170.5, 120.25, -300)),
    "permuted": grid(np.eye(3)[:, [2, 0, 1]], spacing=(3, 0.8, 0.9), origin=(-5, 7, 11)),
    "anisotropic": grid(np.eye(3), spacing=(0.5, 0.75, 5), origin=(-100, -100, 900)),
    "oblique": grid(
        rotation(0, 17) @ rotation(2, -9) @ np.diag([-1.0, 1.0, -1.0]),
        spacing=(0.9, 0.8, 2),
        origin=(3, -4, 5),
    ),
}


def millimetres(volume: Volume, value: float) -> np.ndarray:
    """Where in the patient the one voxel of that value lies."""
    (index,) = np.argwhere(volume.voxels == value)
    return volume.affine[:3, :3] @ index + volume.affine[:3, 3]

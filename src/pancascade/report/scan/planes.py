"""Axial, coronal and sagittal planes of a scan in the radiological view, in millimetres."""

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pancascade.imaging.volume import Box, Volume
from pancascade.results.measurements import Point

_OUTSIDE_HU = -1024.0
_LEAST_SHAPE = 0.3
"""Least ratio of a field's shorter to its longer side; the part beyond the scan is black."""


class Plane(NamedTuple):
    """Position of a plane on the screen.

    Attributes:
        name: Name of the plane.
        across: Axis of an LPS grid that runs to the right of the screen.
        down: Axis that runs down, or up with `upwards`.
        through: Axis along which the planes are counted.
        upwards: Whether the `down` axis points to the top of the screen.
        letters: Sides of the patient at the left, right, top and bottom edge.
        origin: Side from which planes are counted.
    """

    name: str
    across: int
    down: int
    through: int
    upwards: bool
    letters: str
    origin: str


AXIAL = Plane("axial", 0, 1, 2, False, "RLAP", "the feet")
CORONAL = Plane("coronal", 0, 2, 1, True, "RLSI", "the front")
SAGITTAL = Plane("sagittal", 1, 2, 0, True, "APSI", "the patient's right")
PLANES = (AXIAL, CORONAL, SAGITTAL)


class FieldOfView(NamedTuple):
    """The part of a plane that is shown, in the plane's millimetres to the right and down."""

    left: float
    right: float
    top: float
    bottom: float

    @property
    def width_mm(self) -> float:
        """Width in mm."""
        return self.right - self.left

    @property
    def height_mm(self) -> float:
        """Height in mm."""
        return self.bottom - self.top


@dataclass(frozen=True, eq=False)
class PlaneImage:
    """One plane of voxels of a scan, as on the screen.

    Its millimetres run to the right and down from the centre of the first voxel. A sheared or oblique grid keeps its
    own plane, so that lengths are true.

    Attributes:
        plane: Which plane.
        hu: (across, down) Hounsfield units as stored.
        labels: (across, down) ids of `Label`.
        first_mm: (3,) RAS+ position of voxel (0, 0).
        steps_mm: (2, 3) RAS+ steps across and down.
        index: Index of the plane, from 0.
        count: Number of planes in the scan.
    """

    plane: Plane
    hu: NDArray[Any]
    labels: NDArray[Any]
    first_mm: NDArray[np.float64]
    steps_mm: NDArray[np.float64]
    index: int
    count: int

    @property
    def frame(self) -> NDArray[np.float64]:
        """(2, 3) unit vectors to the right and down, at a right angle."""
        across, down = self.steps_mm
        right = across / np.linalg.norm(across)
        below = down - (down @ right) * right
        return np.stack([right, below / np.linalg.norm(below)])

    def place(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the positions of points in the plane.

        Args:
            points_mm: (N, 3) RAS+.

        Returns:
            (N, 2): mm to the right, mm down.
        """
        return (points_mm - self.first_mm) @ self.frame.T

    def grid_mm(self, *, margin: int = 0) -> NDArray[np.float64]:
        """Return voxel centres: (2, across + 2 · margin, down + 2 · margin), mm to the right and down."""
        across, down = (np.arange(-margin, size + margin) for size in self.hu.shape)
        indices = np.stack(np.meshgrid(across, down, indexing="ij"))
        return np.einsum("kd,dij->kij", self._index_to_mm, indices.astype(np.float64))

    def sample(self, field: FieldOfView, *, pixel_mm: float) -> NDArray[np.float32]:
        """Return Hounsfield units of a field in square pixels, linear between voxels.

        Returns:
            (rows, columns); −1024 outside the scan.
        """
        shape = (max(1, round(field.height_mm / pixel_mm)), max(1, round(field.width_mm / pixel_mm)))
        to_index = np.linalg.inv(self._index_to_mm)
        matrix = to_index @ np.array([[0.0, pixel_mm], [pixel_mm, 0.0]])
        offset = to_index @ (np.array([field.left, field.top]) + pixel_mm / 2)
        known = np.nan_to_num(self.hu.astype(np.float32), nan=_OUTSIDE_HU)
        sampled: NDArray[np.float32] = ndimage.affine_transform(
            known, matrix, offset, output_shape=shape, order=1, mode="constant", cval=_OUTSIDE_HU
        )
        return sampled

    @property
    def _index_to_mm(self) -> NDArray[np.float64]:
        """(2, 2): voxel steps to mm; column 0 is a step across."""
        return self.frame @ self.steps_mm.T


def cut_plane(scan: Volume, mask: Volume, plane: Plane, *, through_mm: Point) -> PlaneImage | None:
    """Return the plane through a point.

    Args:
        scan: Hounsfield units, axes LPS.
        mask: Labels on the same grid.
        plane: Which plane.
        through_mm: RAS+ point; the nearest plane is taken.

    Returns:
        The plane; None if it has only one line of voxels.
    """
    if min(scan.shape[plane.across], scan.shape[plane.down]) < 2:
        return None
    index = voxel_of(scan, through_mm)[plane.through]
    here = tuple(index if axis == plane.through else slice(None) for axis in range(3))
    images = [volume.voxels[here] for volume in (scan, mask)]
    first = np.zeros(3)
    first[plane.through] = index
    steps = scan.affine[:3, [plane.across, plane.down]].T.copy()
    if plane.upwards:
        images = [image[:, ::-1] for image in images]
        first[plane.down] = scan.shape[plane.down] - 1
        steps[1] *= -1
    first_mm = scan.affine[:3, :3] @ first + scan.affine[:3, 3]
    return PlaneImage(plane, images[0], images[1], first_mm, steps, index, scan.shape[plane.through])


def voxel_of(volume: Volume, point_mm: Point) -> tuple[int, int, int]:
    """Return the index of the voxel nearest to a point, within the volume."""
    index = np.linalg.solve(volume.affine, [*point_mm, 1.0])[:3]
    first, second, third = np.clip(np.rint(index), 0, np.array(volume.shape) - 1).astype(int)
    return int(first), int(second), int(third)


def field_around(plane_image: PlaneImage, points_mm: NDArray[np.float64], *, margin_mm: float) -> FieldOfView:
    """Return the field that holds points with a margin, cropped to the scan but not narrower than `_LEAST_SHAPE`.

    Args:
        plane_image: The plane.
        points_mm: (N, 3) RAS+.
        margin_mm: Margin on all sides.
    """
    places = plane_image.place(points_mm)
    edges = plane_image.grid_mm(margin=1).reshape(2, -1).T
    steps = plane_image._index_to_mm
    half = np.abs(steps).sum(axis=1) / 2
    low = np.maximum(places.min(axis=0) - margin_mm, edges.min(axis=0) + half)
    high = np.minimum(places.max(axis=0) + margin_mm, edges.max(axis=0) - half)
    middle, size = (low + high) / 2, high - low
    size = np.maximum(size, _LEAST_SHAPE * size.max())
    (left, top), (right, bottom) = middle - size / 2, middle + size / 2
    return FieldOfView(float(left), float(right), float(top), float(bottom))


def corner_points(box: Box, volume: Volume) -> NDArray[np.float64]:
    """Return the (8, 3) RAS+ corners of a box's outer voxel edges."""
    edges = [(start - 0.5, stop - 0.5) for start, stop in zip(box.start, box.stop, strict=True)]
    return np.array(list(itertools.product(*edges))) @ volume.affine[:3, :3].T + volume.affine[:3, 3]

"""A 3-D image and the position of its voxels in the patient."""

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from pancascade.errors import GeometryError
from pancascade.imaging.volume.acquisition import Acquisition
from pancascade.messages.names_only import public_name
from pancascade.messages.notices import Notice

# Below this volume ratio (1 = right angles, 0 = flat) the three axes lie in one plane.
_FLAT = 1e-4
# Micrometres mistaken for millimetres stay below; no patient reaches beyond.
_FARTHEST_MM = 1e6


@dataclass(frozen=True, eq=False, repr=False)
class Volume:
    """Voxels with the affine that gives their position in the patient.

    Attributes:
        voxels: (I, J, K), any dtype. Not copied: treat it as read-only.
        affine: (4, 4) float64, voxel index to RAS+ mm at the voxel's centre (nibabel's convention).
        source: File that the voxels were read from; names the volume in messages.
        notices: Notices from reading the file.
        series: Mark (hashed UID) of the DICOM series; None for other files.
        frame_of_reference: Mark of the DICOM frame of reference of its positions; None if unknown.
        acquisition: Acquisition parameters from DICOM; None for other files.

    Raises:
        GeometryError: voxels are not 3-D or empty, or the affine is not a finite, invertible
            (4, 4) matrix with spacing above 0 and no entry beyond a kilometre.
    """

    voxels: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    source: Path | None = None
    notices: tuple[Notice, ...] = ()
    series: str | None = None
    frame_of_reference: str | None = None
    acquisition: Acquisition | None = None

    def __post_init__(self) -> None:
        # A private read-only copy, because a change of a shared affine would move the scan silently.
        affine = np.array(self.affine, dtype=np.float64)
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "voxels", np.asarray(self.voxels))
        if self.voxels.ndim != 3 or self.voxels.size == 0:
            raise GeometryError(
                f"{self.name}: the array has shape {self.voxels.shape}, but a scan needs three axes "
                "with at least one voxel each. Give one 3-D scan.",
                code="not_3d",
            )
        self._check_affine()

    def __repr__(self) -> str:
        """Return the grid without voxels: "Volume(scan.nii.gz: 512 × 512 × 240 int16, 0.70 × 0.70 × 1.00 mm, LPS)"."""
        sizes = " × ".join(map(str, self.shape))
        spacing = " × ".join(f"{size:.2f}" for size in self.spacing_mm)
        return f"Volume({public_name(self.name)}: {sizes} {self.voxels.dtype}, {spacing} mm, {self.orientation})"

    @property
    def name(self) -> str:
        """The source's path as given, or "volume"."""
        return "volume" if self.source is None else str(self.source)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis, (I, J, K)."""
        rows, columns, slices = self.voxels.shape
        return rows, columns, slices

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along each axis, in mm."""
        first, second, third = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(first), float(second), float(third)

    @property
    def orientation(self) -> str:
        """Direction of each axis as its closest letter: "LPS" is towards left, posterior, superior."""
        codes = nib.aff2axcodes(self.affine)
        return "".join(codes)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in ml, correct for sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def with_voxels(self, voxels: npt.NDArray[Any]) -> "Volume":
        """Return the same grid with other values, for example a mask predicted on this scan.

        Args:
            voxels: (I, J, K), with the shape of this volume.

        Raises:
            GeometryError: the shape differs.
        """
        if voxels.shape != self.shape:
            raise GeometryError(
                f"{self.name}: new voxels have shape {voxels.shape}, the grid has {self.shape}. "
                "Resample them onto this grid first.",
                code="other_grid",
            )
        return replace(self, voxels=voxels)

    def on_same_grid_as(self, other: "Volume", *, tolerance_mm: float = 1e-3) -> bool:
        """Return whether the shapes are equal and every voxel has the same position.

        Args:
            other: The volume to compare with.
            tolerance_mm: Largest allowed distance between the corner voxels of both grids.
        """
        if self.shape != other.shape:
            return False
        corners = np.array(list(itertools.product(*((0, size - 1) for size in self.shape))))
        difference = corners @ (self.affine - other.affine)[:3, :3].T + (self.affine - other.affine)[:3, 3]
        return bool(np.linalg.norm(difference, axis=1).max() <= tolerance_mm)

    def _check_affine(self) -> None:
        affine = self.affine
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            found = "NaN or infinity" if affine.shape == (4, 4) else f"shape {affine.shape}"
            raise GeometryError(
                f"{self.name}: the affine (voxel index to mm) must be a finite 4 x 4 matrix, "
                f"got {found}; the header is damaged. Re-export the scan.",
                code="directions_impossible",
            )
        if not np.array_equal(affine[3], (0, 0, 0, 1)):
            raise GeometryError(
                f"{self.name}: the affine's last row must be 0 0 0 1, got {affine[3].tolist()}. Re-export the scan.",
                code="directions_impossible",
            )
        if np.abs(affine).max() > _FARTHEST_MM:
            raise GeometryError(
                f"{self.name}: an entry of the affine (voxel index to mm) is {np.abs(affine).max():.3g}, more than a "
                "kilometre; the header is damaged. Re-export the scan.",
                code="directions_impossible",
            )
        spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
        if (spacing_mm == 0).any():
            raise GeometryError(
                f"{self.name}: voxel spacing is 0 along axis {int(np.argmin(spacing_mm))}, "
                "the header is damaged. Re-export the scan.",
                code="spacing_impossible",
            )
        # This form makes an overflow to NaN fail too.
        if not abs(np.linalg.det(affine[:3, :3] / spacing_mm)) >= _FLAT:
            raise GeometryError(
                f"{self.name}: the three voxel axes lie in one plane (singular affine), "
                "the header is damaged. Re-export the scan.",
                code="directions_impossible",
            )

"""Pairs of a scan and a label map in files."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from pancascade.data.readers.case import LabelledScan
from pancascade.data.readers.structure import LabelMapping
from pancascade.errors import DataError
from pancascade.imaging.io import read_label_map, read_volume
from pancascade.imaging.volume import Volume, reorient

_SAME_PLACE = 0.05
"""Largest difference of two files of one grid, as a share of a voxel, because headers are rounded."""


def scan_files(image: Path, label: Path | None, *, meaning: LabelMapping) -> LabelledScan:
    """Return a scan and its label map in NIfTI, NRRD or MetaImage files; no file is opened yet.

    Args:
        image: File of the scan in Hounsfield units.
        label: File of the label map on the same grid, in any orientation; None without a label map.
        meaning: Structure of each value of the label map.
    """
    return LabelledScan(image, label, meaning, partial(read_volume, image), partial(read_values, label))


def read_values(label: Path | None, image: Volume) -> Volume:
    """Read a label map with its own values on the scan's grid; zeros without a file.

    Raises:
        ScanError: The file cannot be read.
        DataError: It lies on another grid.
    """
    if label is None:
        return image.with_voxels(np.zeros(image.shape, np.uint8))
    found = read_label_map(label)
    turned = reorient(found, image.orientation)
    if not turned.on_same_grid_as(image, tolerance_mm=_SAME_PLACE * min(image.spacing_mm)):
        raise DataError(
            f"{label}: not on the grid of {image.name} ({_grid(found)} against {_grid(image)}). "
            "Export the pair again, or resample the label map by nearest voxel."
        )
    return replace(turned, affine=image.affine)


def _grid(volume: Volume) -> str:
    size, spacing = " × ".join(map(str, volume.shape)), " × ".join(f"{mm:.3g}" for mm in volume.spacing_mm)
    corner = ", ".join(f"{mm:.1f}" for mm in volume.affine[:3, 3])
    return f"{size} voxels of {spacing} mm from ({corner}) mm, {volume.orientation}"

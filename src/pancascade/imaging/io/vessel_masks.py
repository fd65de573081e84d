"""Vessel masks given on the command line."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pancascade.errors import GeometryError, UnreadableError
from pancascade.imaging.io.scan import read_label_map
from pancascade.imaging.volume import Volume

_WITH_VALUE = re.compile(r"(?P<file>.+):(?P<value>-?[0-9]+)", re.DOTALL)


def read_vessels(given: Iterable[str]) -> dict[str, Volume]:
    """Read the masks of all vessels, by name.

    Args:
        given: As for `read_vessel`.

    Returns:
        Boolean masks by name, each on the grid of its file.

    Raises:
        UnreadableError: As `read_vessel`, or a name is given twice.
        ScanError: A file cannot be read.
    """
    named = [(one, *_parsed(one)) for one in given]
    names = [name for _, name, _, _ in named]
    for one, name, _, _ in named:
        if names.count(name) > 1:
            raise UnreadableError(
                f"--vessels {one}: the name {name} is given twice. Give each vessel a name of its own.",
                code="vessel_option",
            )
    return {name: _mask(name, path, value) for _, name, path, value in named}


def read_vessel(given: str) -> tuple[str, Volume]:
    """Read the name and mask of one vessel.

    Args:
        given: ``NAME=FILE``: voxels above 0 are the vessel. ``NAME=FILE:VALUE``: voxels of this value of a label map
            are the vessel. The name contains no ``=``; the file may contain ``=`` and a colon.

    Returns:
        The name, and a boolean mask on the file's grid.

    Raises:
        UnreadableError: The form is wrong, the value is 0 or less, no voxel has it, or the file is no mask.
        ScanError: The file cannot be read.
    """
    name, path, value = _parsed(given)
    return name, _mask(name, path, value)


def require_grid(vessels: dict[str, Volume], *, scan: Volume) -> None:
    """Check that all masks are on the scan's grid, before any long work.

    Args:
        vessels: Masks by name.
        scan: The scan to segment.

    Raises:
        GeometryError: A mask is on another grid.
    """
    for name, mask in vessels.items():
        if not mask.on_same_grid_as(scan):
            raise GeometryError(
                f"{mask.name}: the mask of {name} is not on the grid of {scan.name}: shape {mask.shape}, orientation "
                f"{mask.orientation} against {scan.shape}, {scan.orientation}, or another place. "
                "Resample it onto the scan's grid.",
                code="other_grid",
            )


def _parsed(given: str) -> tuple[str, Path, int | None]:
    name, _, where = given.partition("=")
    name = name.strip()
    if not name or not where:
        raise UnreadableError(
            f"--vessels {given}: not of the form NAME=FILE or NAME=FILE:VALUE, such as aorta=vessels.nii.gz:3.",
            code="vessel_option",
        )
    parts = _WITH_VALUE.fullmatch(where)
    # An existing file whose name ends in such a number has priority.
    if parts is None or Path(where).exists():
        return name, Path(where), None
    value = int(parts["value"])
    if value < 1:
        raise UnreadableError(
            f"--vessels {given}: {value} is the background, not a vessel. Give the vessel's value, 1 or more.",
            code="vessel_option",
        )
    return name, Path(parts["file"]), value


def _mask(name: str, path: Path, value: int | None) -> Volume:
    labels = read_label_map(path)
    if labels.voxels.dtype.kind != "b" and labels.voxels.min() < 0:
        raise UnreadableError(
            f"{path}: holds values below 0, so it is a scan or a distance map, not a mask of {name}. Give the mask.",
            code="vessel_option",
        )
    mask = labels.voxels > 0 if value is None else labels.voxels == value
    if not np.any(mask):
        what = "any voxel above 0" if value is None else f"the value {value}"
        raise UnreadableError(f"{path}: does not hold {what}, so there is no {name}.", code="vessel_empty")
    return labels.with_voxels(mask)

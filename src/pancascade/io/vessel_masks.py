"""Masks of vessels as the command line names them."""

from pathlib import Path

import numpy as np

from pancascade.errors import UnreadableError
from pancascade.io.scan import read_volume
from pancascade.volume import Volume


def read_vessel(given: str) -> tuple[str, Volume]:
    """A vessel's name and mask.

    Args:
        given: ``NAME=FILE``, where everything above 0 is the vessel; or ``NAME=FILE:VALUE``, where one value of a
            label map is.

    Returns:
        The name, and a boolean mask on the file's grid.

    Raises:
        UnreadableError: Not of this form, or the file holds no such voxel.
        ScanError: The file cannot be read.
    """
    name, _, where = given.partition("=")
    if not name or not where:
        raise UnreadableError(f"--vessels {given}: not of the form NAME=FILE or NAME=FILE:VALUE.", code="vessel_option")
    file, _, value = where.rpartition(":")
    wanted = int(value) if file and value.isdigit() else None
    path = Path(where if wanted is None else file)
    labels = read_volume(path)
    mask = labels.voxels > 0 if wanted is None else labels.voxels == wanted
    if not np.any(mask):
        what = "any voxel above 0" if wanted is None else f"the value {wanted}"
        raise UnreadableError(f"{path}: does not hold {what}, so there is no {name}.", code="vessel_empty")
    return name, labels.with_voxels(mask)

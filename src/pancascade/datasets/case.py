"""A case: one patient's image and reference labels, read only when asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class AxialSlice:
    """One axial slice as a radiologist sees it: row 0 is anterior, column 0 the patient's right.

    Attributes:
        name: Unique within its data set.
        patient: Whose slice it is; splits go by patient.
        hu: (H, W) int16, Hounsfield units.
        labels: (H, W) uint8, ids of `pancascade.labels.Label`.
        spacing_mm: Row and column spacing, None if the source does not tell.
    """

    name: str
    patient: str
    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    spacing_mm: tuple[float, float] | None


@dataclass(frozen=True)
class Case:
    """One image with its reference.

    Attributes:
        name: Unique within its data set.
        patient: Whose it is.
        source: Name of the data set.
        read_slices: Reads the axial slices; nothing is read before it is called.
    """

    name: str
    patient: str
    source: str
    read_slices: Callable[[], Sequence[AxialSlice]]

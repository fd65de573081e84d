"""How much of pancreas and tumour each axial slice shows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.volume import Box
from pancascade.labels import Label


class SliceAreas(NamedTuple):
    """Voxels of each axial slice.

    Attributes:
        organ: (K,) of pancreas and tumour.
        tumour: (K,) of tumour alone.
        box: Around all marked voxels; None where nothing is marked.
    """

    organ: NDArray[np.intp]
    tumour: NDArray[np.intp]
    box: Box | None


def slice_areas(labels: NDArray[np.integer]) -> SliceAreas:
    """Count the marked voxels of each axial slice.

    Args:
        labels: (I, J, K), ids of `Label`, axes LPS.
    """
    organ, tumour = (np.zeros(labels.shape[2], np.intp) for _ in range(2))
    box = Box.around(labels)
    if box is not None:
        marked, slices = labels[box.slices], box.slices[2]
        organ[slices] = np.count_nonzero(marked, axis=(0, 1))
        tumour[slices] = np.count_nonzero(marked == Label.TUMOUR, axis=(0, 1))
    return SliceAreas(organ, tumour, box)

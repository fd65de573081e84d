"""Comparison of an exported network with torch's, on random and synthetic images."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pancascade.errors import ExportError

TOLERANCE = 1e-3
"""Largest allowed difference of an exported network's output from torch's, relative to the largest output (min. 1)."""


def require_same(answers: Sequence[NDArray[np.float32]], wanted: Sequence[NDArray[np.float32]], *, file: str) -> float:
    """Return the largest difference between two networks' maps.

    Raises:
        ExportError: The maps are of other shapes, or differ by more than `TOLERANCE`.
    """
    shapes = [maps.shape for maps in answers], [maps.shape for maps in wanted]
    if shapes[0] != shapes[1]:
        raise ExportError(f"{file}: the exported network gives maps of {shapes[0]}, but torch of {shapes[1]}.")
    largest = 0.0
    for answer, true in zip(answers, wanted, strict=True):
        difference = float(np.abs(answer - true).max())
        allowed = TOLERANCE * max(1.0, float(np.abs(true).max()))
        if not difference <= allowed:
            raise ExportError(
                f"{file}: the exported network's output differs from torch's by {difference:.2g}, more than "
                f"{allowed:.2g}; nothing was written. Try the other format."
            )
        largest = max(largest, difference)
    return largest


def image_on_network_grid(size: tuple[int, int]) -> Tensor:
    """Return a synthetic slice of a body, (1, 1, H, W) in [0, 1]: soft tissue with a bright and a dark organ."""
    rows, columns = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in size), indexing="ij")
    image = torch.zeros(size)
    for row, column, height, width, grey in (
        (0.0, 0.0, 0.8, 0.9, 0.45),
        (0.0, -0.4, 0.4, 0.3, 0.6),
        (0.1, 0.15, 0.2, 0.3, 0.75),
        (0.5, 0.0, 0.2, 0.15, 1.0),
        (-0.3, 0.4, 0.25, 0.2, 0.05),
    ):
        image[((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 < 1] = grey
    return image[None, None]

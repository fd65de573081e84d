"""Slices with their neighbours below and above, at fixed distances in mm for any slice spacing."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.preprocessing.canvas import Canvas

Shown = Callable[[int], NDArray[np.float32]]
"""Function that returns the windowed slice (H, W) of an index."""


def with_neighbours(
    shown: Shown, wanted: Sequence[int], *, count: int, slice_mm: float | None, canvas: Canvas
) -> NDArray[np.float32]:
    """Return slices of a stack with the neighbours that the canvas asks for as channels.

    Args:
        shown: Returns a slice of the stack by its index, 0…count−1 from the feet to the head.
        wanted: Indices of the slices.
        count: Number of slices in the stack. Beyond either end the slice at that end is repeated.
        slice_mm: Distance from one slice to the next; None repeats the slice itself as its neighbours.
        canvas: Gives the number of neighbours and their distance in mm.

    Returns:
        (len(wanted), canvas.channels, H, W), interpolated linearly between slices.
    """
    steps = np.arange(-canvas.neighbours, canvas.neighbours + 1) * canvas.neighbour_mm
    kept: dict[int, NDArray[np.float32]] = {}

    def slice_at(index: int) -> NDArray[np.float32]:
        if index not in kept:
            kept[index] = shown(index)
        return kept[index]

    images = []
    for middle in wanted:
        places = np.clip(middle + (steps / slice_mm if slice_mm else 0 * steps), 0, count - 1)
        channels = []
        for place in places:
            below = int(place)
            share = np.float32(place - below)
            low = slice_at(below)
            channels.append(low if share == 0 else low * (1 - share) + slice_at(below + 1) * share)
        images.append(np.stack(channels))
        for index in [index for index in kept if index < int(places[0])]:
            del kept[index]
    return np.stack(images)

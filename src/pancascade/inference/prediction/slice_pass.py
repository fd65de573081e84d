"""The 2-D papers' pass: read axial slices of any stacks in batches, return probabilities on their own pixels."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from pancascade.data.readers import AxialSlice
from pancascade.imaging.preprocessing import Placement, find_placement
from pancascade.imaging.preprocessing.neighbours import with_neighbours
from pancascade.imaging.preprocessing.network_grid import to_network_grid
from pancascade.inference.runners.slice_batches import BATCH_SLICES
from pancascade.inference.runners.slice_runner import SliceRunner

Key = TypeVar("Key")


class SliceOnNetworkGrid(NamedTuple):
    """A slice on the network grid.

    Attributes:
        axial: The slice as it was read.
        image: (1, channels, H, W) in [0, 1].
        placement: Place of the slice on the network grid.
    """

    axial: AxialSlice
    image: NDArray[np.float32]
    placement: Placement


def slice_on_grid(runner: SliceRunner, slices: Sequence[AxialSlice], place: int) -> SliceOnNetworkGrid:
    """Place one slice of a stack, with the neighbours that the canvas needs, on a cascade's network grid.

    Args:
        runner: Runner with the canvas.
        slices: The stack, from the feet to the head.
        place: Index of the slice.
    """
    axial, canvas = slices[place], runner.canvas
    placement = find_placement(axial.hu, spacing_mm=axial.spacing_mm, canvas=canvas, grow=runner.grows)
    shown = with_neighbours(
        lambda index: canvas.window.apply(slices[index].hu),
        [place],
        count=len(slices),
        slice_mm=axial.slice_mm,
        canvas=canvas,
    )
    return SliceOnNetworkGrid(axial, to_network_grid(shown, placement), placement)


def batches_on_network_grid(
    runner: SliceRunner, stacks: Iterable[tuple[Key, Sequence[AxialSlice]]]
) -> Iterator[list[tuple[Key, SliceOnNetworkGrid]]]:
    """Yield batches of slices with canvases of one size, in order; a batch may hold slices of several stacks.

    Args:
        runner: Runner with the canvas.
        stacks: A key and the slices of each case, from the feet to the head; read when needed.
    """
    waiting: list[tuple[Key, SliceOnNetworkGrid]] = []
    for key, slices in stacks:
        for place in range(len(slices)):
            drawn = slice_on_grid(runner, slices, place)
            if waiting and (len(waiting) == BATCH_SLICES or waiting[0][1].image.shape != drawn.image.shape):
                yield waiting
                waiting = []
            waiting.append((key, drawn))
    if waiting:
        yield waiting


def slice_probabilities(
    runner: SliceRunner, stacks: Iterable[tuple[Key, Sequence[AxialSlice]]]
) -> Iterator[tuple[Key, AxialSlice, NDArray[np.float32]]]:
    """Run the papers' pass on all slices of some stacks: locate, box, crop, segment and paste each slice.

    Slices share batches, but no slice influences another one.

    Args:
        runner: A 2-D cascade on a device.
        stacks: See `batches_on_network_grid`.

    Yields:
        For each slice in order: key of its stack, slice, probabilities (C, h, w) float32 on its own pixels.
    """
    for batch in batches_on_network_grid(runner, stacks):
        images = np.concatenate([one.image for _, one in batch])
        found = runner.run_alone(images, [one.placement for _, one in batch])
        yield from ((key, one.axial, maps) for (key, one), maps in zip(batch, found, strict=True))

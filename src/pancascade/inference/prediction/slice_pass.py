"""The 2-D papers' pass: axial slices in, probabilities on their own pixels out, in batches of any stacks."""

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
    """A slice on its canvas.

    Attributes:
        axial: As it was read.
        image: (1, channels, H, W) in [0, 1].
        placement: Where it lies there.
    """

    axial: AxialSlice
    image: NDArray[np.float32]
    placement: Placement


def slice_on_grid(runner: SliceRunner, slices: Sequence[AxialSlice], place: int) -> SliceOnNetworkGrid:
    """One slice of a stack on the canvas of a cascade, placed by itself, with the neighbours that the canvas asks for.

    Args:
        runner: Whose canvas.
        slices: The stack, from the feet to the head.
        place: Which slice.
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
    """All slices of some stacks in batches of canvases of one size, in their order, across stacks as well.

    Args:
        runner: Whose canvas.
        stacks: Slices of one case each, from the feet to the head, with what tells the case; read when needed.
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
    """Run the papers' pass on all slices of some stacks: locate, box, crop, segment, paste, slice by slice.

    Slices share batches and never see each other there.

    Args:
        runner: A 2-D cascade on a device.
        stacks: See `batches_on_network_grid`.

    Yields:
        Of each slice in their order: whose it is, the slice, probabilities (C, h, w) float32 on its own pixels.
    """
    for batch in batches_on_network_grid(runner, stacks):
        images = np.concatenate([one.image for _, one in batch])
        found = runner.run_alone(images, [one.placement for _, one in batch])
        yield from ((key, one.axial, maps) for (key, one), maps in zip(batch, found, strict=True))

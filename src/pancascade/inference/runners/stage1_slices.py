"""Stage 1 of a 2-D cascade on the slices of a volume: which of them it sees, and what is found in all."""

from pancascade.imaging.preprocessing import Canvas, Placement
from pancascade.imaging.volume import Volume
from pancascade.inference.backends.runnable_cascade import Handover, RunnableCascade
from pancascade.inference.localization.region_probabilities import ProbabilitySource
from pancascade.inference.runners.callbacks import Progress
from pancascade.inference.runners.slice_batches import (
    interpolated,
    on_network_grid,
    parts_of,
    slices_on_network_grid,
    stored,
)
from pancascade.inference.runners.stopwatch import Stopwatch

LOCATE_EVERY_MM = 2.0
"""Largest distance of slices that stage 1 sees; it sees every slice of thicker ones.

Its probability map is smoothed anyway.
"""


def locate_slices(
    cascade: RunnableCascade,
    volume: Volume,
    placement: Placement,
    *,
    canvas: Canvas,
    skip: bool,
    probability_map: ProbabilitySource | None,
    progress: Progress | None,
    clock: Stopwatch,
) -> list[Handover]:
    """What stage 1 hands over in each batch of slices; in thin slices it sees every so many.

    Args:
        cascade: Ready to run.
        volume: Hounsfield units, oriented LPS.
        placement: Where its slices lie on the canvas.
        canvas: How slices reach the cascade.
        skip: Whether slices between two that stage 1 has seen may take the mean of both probability maps.
        probability_map: In place of stage 1's, probability of the organ in slices of the volume.
        progress: Called after each batch.
        clock: Measures the time of each step.
    """
    count = volume.shape[2]
    every = max(1, int(LOCATE_EVERY_MM / volume.spacing_mm[2])) if skip and probability_map is None else 1
    seen_slices = sorted({*range(0, count, every), count - 1})
    located = []
    for part in parts_of(len(seen_slices)):
        chosen = seen_slices[part]
        where = slice(chosen[0], chosen[-1] + 1) if every == 1 else chosen
        with clock.measure("to_network_grid"):
            images = slices_on_network_grid(volume, placement, where, canvas=canvas)
        with clock.measure("stage_1"):
            given = on_network_grid(probability_map, part, placement)
            located.append(stored(cascade.locate(images) if given is None else cascade.from_mask(images, given)))
        if progress is not None:
            progress("locate", chosen[-1] + 1, count)
    return located if every == 1 else interpolated(located, seen_slices, count)

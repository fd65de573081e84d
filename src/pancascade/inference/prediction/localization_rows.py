"""Stage 1 of a checkpoint against the references of many cases."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pancascade.data.readers import AxialSlice, Case
from pancascade.errors import DataError
from pancascade.evaluation.localization import IMAGE_GRID, OWN_GRID, LocalizationRow, localization_row
from pancascade.imaging.preprocessing.network_grid import labels_to_network_grid
from pancascade.imaging.volume import Box
from pancascade.inference.prediction.labelled_cases import LabelledCase, LabelledSlices, LabelledVolume, labelled_cases
from pancascade.inference.prediction.slice_pass import SliceOnNetworkGrid, batches_on_network_grid
from pancascade.inference.runners.slice_runner import SliceRunner
from pancascade.inference.runners.torch_runners import torch_cascade_of
from pancascade.methods.cascades import Cascade


def localization_rows(
    checkpoint: Path,
    cases: Sequence[Case],
    *,
    device: str = "cpu",
    on_done: Callable[[int, int], None] | None = None,
) -> list[LocalizationRow]:
    """A row for each slice (2-D cascades) or volume (3-D) that shows the target of stage 1.

    Slices are compared on the network's canvas, volumes on their own grid. Boxes have no margin that only serves stage
    2: ``box`` of 2-D cascades; ``B1`` and ``B2`` of Zhao et al., whose margins are the method. Where stage 1 has a mask
    its DSC is there by grid: ``stage 1's grid`` (the reduced one) and, if that is another, ``full grid``.

    Args:
        checkpoint: A ``.safetensors`` file, or the folder of a training run.
        cases: Read one at a time.
        device: ``cpu`` or ``cuda``.
        on_done: Called with the number of finished cases and of all.

    Raises:
        CheckpointError: Weights are missing or damaged.
        DataError: The cascade has no stage 1, a case cannot be read, or none shows the target.
    """
    found = labelled_cases(checkpoint, cases, device=device, on_done=on_done)
    return require_located([row for case in found for row in case_localization(case)])


def require_located(rows: list[LocalizationRow]) -> list[LocalizationRow]:
    """The rows, if there is one.

    Raises:
        DataError: There is none.
    """
    if not rows:
        raise DataError("No case shows the target of stage 1. Is it the right data set?")
    return rows


def case_localization(case: LabelledCase) -> list[LocalizationRow]:
    """The rows of one case; none where the target is not shown."""
    return list(_of_slices(*case) if isinstance(case, LabelledSlices) else _of_volume(case))


@torch.inference_mode()
def _of_slices(runner: SliceRunner, slices: Sequence[AxialSlice]) -> Iterator[LocalizationRow]:
    for batch in batches_on_network_grid(runner, [(0, slices)]):
        drawn = [one for _, one in batch]
        labels = torch.from_numpy(np.concatenate([_drawn_labels(one) for one in drawn]))
        images = np.concatenate([one.image for one in drawn])
        names = [(one.axial.name, one.axial.patient) for one in drawn]
        cascade = torch_cascade_of(runner)
        yield from locate_rows(cascade.cascade, cascade.shown(images), labels, names=names)


def _drawn_labels(drawn: SliceOnNetworkGrid) -> NDArray[np.uint8]:
    return labels_to_network_grid(drawn.axial.labels[None], drawn.placement)


@torch.inference_mode()
def _of_volume(volume: LabelledVolume) -> Iterator[LocalizationRow]:
    runner, case, scan_lps, labels = volume
    images = runner.grid.window.apply(np.ascontiguousarray(scan_lps.voxels))[None, None]
    cascade, names = torch_cascade_of(runner), [(case.name, case.patient)]
    yield from locate_rows(cascade.cascade, cascade.shown(images), torch.from_numpy(labels)[None], names=names)


def locate_rows(
    cascade: Cascade, images: Tensor, labels: Tensor, *, names: Sequence[tuple[str, str]]
) -> Iterator[LocalizationRow]:
    """Stage 1 on images, against label maps on the same grid; only images that show its target.

    Args:
        cascade: With a stage 1.
        images: (B, C, *S) in [0, 1].
        labels: (B, *S), ids of `pancascade.labels.Label`.
        names: Case and patient of each image.
    """
    shape = tuple(images.shape[2:])
    truth = np.isin(labels.cpu().numpy(), cascade.first_target)
    located = cascade.locate(images)
    masks: dict[str, tuple[Tensor, Tensor]] = {}
    if cascade.first_map_is_mask:
        masks[OWN_GRID] = (located.probabilities[:, 0] >= 0.5, cascade.first_reference(labels)[:, 0] > 0)
        if tuple(located.probabilities.shape[2:]) != shape:
            masks[IMAGE_GRID] = (cascade.first_map(located, shape)[:, 0] >= 0.5, torch.from_numpy(truth))
    for place, (boxes, (case, patient)) in enumerate(zip(cascade.first_boxes(located, shape), names, strict=True)):
        true = Box.around(truth[place])
        if true is not None:
            pairs = {
                grid: (found[place].cpu().numpy(), true_mask[place].cpu().numpy())
                for grid, (found, true_mask) in masks.items()
            }
            yield localization_row(boxes, true, case=case, patient=patient, masks=pairs)

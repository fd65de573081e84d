"""Compare stage 1 of a checkpoint with the references of many cases."""

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
    """Return one row for each slice (2-D cascades) or volume (3-D) that shows the target of stage 1.

    Slices are compared on the network grid, volumes on their own grid. Boxes are compared without the margin for stage
    2: ``box`` of 2-D cascades. The margins of ``B1`` and ``B2`` (Zhao et al.) belong to the method and stay. If stage 1
    has a mask, its DSC is given by grid: ``stage 1's grid`` (reduced) and, if that is another, ``full grid``.

    Args:
        checkpoint: A ``.safetensors`` file, or the folder of a training run.
        cases: Cases with references; each is read when its turn comes.
        device: ``cpu`` or ``cuda``.
        on_done: Called with the number of finished cases and the total.

    Raises:
        CheckpointError: Weights are missing or damaged.
        DataError: The cascade has no stage 1, a case cannot be read, or none shows the target.
    """
    found = labelled_cases(checkpoint, cases, device=device, on_done=on_done)
    return require_located([row for case in found for row in case_localization(case)])


def require_located(rows: list[LocalizationRow]) -> list[LocalizationRow]:
    """Return the rows, and refuse an empty list.

    Raises:
        DataError: There is no row.
    """
    if not rows:
        raise DataError("No case shows the target of stage 1. Is it the right data set?")
    return rows


def case_localization(case: LabelledCase) -> list[LocalizationRow]:
    """Return the rows of one case; empty if the case does not show the target."""
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
    """Run stage 1 on images and yield a row for each image whose label map shows the target.

    Args:
        cascade: A cascade with a stage 1.
        images: (B, C, *S) in [0, 1].
        labels: (B, *S) on the grid of the images, ids of `pancascade.labels.Label`.
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

"""Read labelled cases one at a time, to measure the stages of a checkpoint."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancascade.data.readers import AxialSlice, Case
from pancascade.errors import DataError
from pancascade.imaging.volume import Volume, reorient
from pancascade.inference.backends.devices import find_device
from pancascade.inference.prediction.predict_cases import find_checkpoint
from pancascade.inference.prediction.scan_pass import scan_lps_hu
from pancascade.inference.runners.loading import Runner
from pancascade.inference.runners.slice_runner import SliceRunner
from pancascade.inference.runners.torch_runners import load_runner
from pancascade.inference.runners.volume_runner import VolumeRunner


class LabelledSlices(NamedTuple):
    """Slices of one case, for a 2-D cascade.

    Attributes:
        runner: The cascade.
        slices: Axial slices with their labels.
    """

    runner: SliceRunner
    slices: Sequence[AxialSlice]


class LabelledVolume(NamedTuple):
    """One case, for a 3-D cascade.

    Attributes:
        runner: The cascade.
        case: Where scan and labels are from.
        scan_lps: The scan, LPS, int16 Hounsfield units.
        labels: (I, J, K) uint8 on the grid of `scan_lps`, ids of `pancascade.labels.Label`.
    """

    runner: VolumeRunner
    case: Case
    scan_lps: Volume
    labels: NDArray[np.uint8]


LabelledCase = LabelledSlices | LabelledVolume


def labelled_cases(
    checkpoint: Path,
    cases: Sequence[Case],
    *,
    device: str = "cpu",
    on_done: Callable[[int, int], None] | None = None,
) -> Iterator[LabelledCase]:
    """Yield each case in the form that the checkpoint's cascade needs; load the weights once.

    Args:
        checkpoint: A ``.safetensors`` file, or the folder of a training run.
        cases: Cases with references; each is read when its turn comes.
        device: ``cpu`` or ``cuda``.
        on_done: Called with the number of finished cases and the total.

    Raises:
        CheckpointError: Weights are missing or damaged.
        DataError: The cascade has no stage 1, or a case cannot be read.
    """
    runner = load_runner(find_checkpoint(checkpoint), find_device(device))
    if not runner.cascade.locates:
        raise DataError(f"{checkpoint.name}: a single network without a stage 1 to measure. Give a cascade.")
    for done, case in enumerate(cases, start=1):
        yield _read(runner, case)
        if on_done is not None:
            on_done(done, len(cases))


def _read(runner: Runner, case: Case) -> LabelledCase:
    if isinstance(runner, SliceRunner):
        return LabelledSlices(runner, case.read_slices())
    if case.scan is None:
        raise DataError(f"{case.name}: holds single slices, but the weights need whole scans. Give volumes.")
    scan, labels = case.scan.read_ct()
    turned = reorient(labels, "LPS").voxels
    return LabelledVolume(runner, case, scan_lps_hu(scan), np.ascontiguousarray(turned, np.uint8))

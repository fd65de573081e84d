"""Cases with their references, read one at a time for a checkpoint whose stages are to be measured."""

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
from pancascade.inference.prediction.scan_pass import upright_hu
from pancascade.inference.runners.loading import Engine
from pancascade.inference.runners.slice_runner import SliceEngine
from pancascade.inference.runners.torch_runners import load_engine
from pancascade.inference.runners.volume_runner import VolumeEngine


class LabelledSlices(NamedTuple):
    """A case for a 2-D cascade.

    Attributes:
        engine: The cascade.
        slices: With their labels.
    """

    engine: SliceEngine
    slices: Sequence[AxialSlice]


class LabelledVolume(NamedTuple):
    """A case for a 3-D cascade.

    Attributes:
        engine: The cascade.
        case: Which.
        upright: The scan, oriented LPS, Hounsfield units int16.
        labels: (I, J, K) uint8 on its grid, ids of `pancascade.labels.Label`.
    """

    engine: VolumeEngine
    case: Case
    upright: Volume
    labels: NDArray[np.uint8]


LabelledCase = LabelledSlices | LabelledVolume


def labelled_cases(
    checkpoint: Path,
    cases: Sequence[Case],
    *,
    device: str = "cpu",
    on_done: Callable[[int, int], None] | None = None,
) -> Iterator[LabelledCase]:
    """Every case as the checkpoint's cascade takes it; its weights are loaded once.

    Args:
        checkpoint: A ``.safetensors`` file, or the folder of a training run.
        cases: Read one at a time.
        device: ``cpu`` or ``cuda``.
        on_done: Called with the number of finished cases and of all.

    Raises:
        CheckpointError: Weights are missing or damaged.
        DataError: The cascade has no stage 1, or a case cannot be read.
    """
    engine = load_engine(find_checkpoint(checkpoint), find_device(device))
    if not engine.cascade.locates:
        raise DataError(f"{checkpoint.name}: a single network, which has no stage 1 to measure. Give a cascade.")
    for done, case in enumerate(cases, start=1):
        yield _read(engine, case)
        if on_done is not None:
            on_done(done, len(cases))


def _read(engine: Engine, case: Case) -> LabelledCase:
    if isinstance(engine, SliceEngine):
        return LabelledSlices(engine, case.read_slices())
    if case.scan is None:
        raise DataError(f"{case.name}: single slices, and the weights need whole scans. Give volumes.")
    scan, labels = case.scan.read_ct()
    turned = reorient(labels, "LPS").voxels
    return LabelledVolume(engine, case, upright_hu(scan), np.ascontiguousarray(turned, np.uint8))

"""Masks of many cases by one checkpoint: in batches, by several processes, resumable, written whole."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pancascade.datasets import Case
from pancascade.evaluation.prediction_set import PredictionSet, PredictionSource


def predict_cases(
    checkpoint: Path,
    cases: Sequence[Case],
    out: Path,
    *,
    device: str = "cpu",
    probabilities: bool = False,
    workers: int = 1,
    resume: bool = False,
    on_done: Callable[[int, int], None] | None = None,
    source: PredictionSource | None = None,
) -> PredictionSet:
    """Predict cases exactly as the papers do, and write their masks.

    2-D cascades see slice by slice: locate, box, crop, segment, paste, threshold at ½. Zhao et al. see whole volumes:
    two boxes and a vote. There is no body box, smoothing, search, component rule, calibration or other threshold.

    Args:
        checkpoint: A ``.safetensors`` file, or the folder of a training run, whose best weights are taken.
        cases: With different names.
        out: Folder for ``CASE.nii.gz`` on each scan's own grid, or ``SLICE.png`` (values 0, 1, 2) on each picture's
            own pixels where there are no whole scans, and ``predictions.json``.
        device: ``cpu`` or ``cuda``.
        probabilities: Also write probability maps, below ``probabilities``: ``LABEL/CASE.nii.gz`` or ``SLICE.npz``.
        workers: Processes. With more than one, a script needs the usual ``if __name__ == "__main__":``.
        resume: Go on with what an earlier run of the same work left in the folder.
        on_done: Called with the number of finished cases and of all.
        source: Where the cases come from, for ``predictions.json``.

    Returns:
        What was written; cases that could not be read or predicted are told as failed.

    Raises:
        CheckpointError: Weights are missing or damaged.
        DataError: There is no case, two have one name, or none could be predicted.
        OutputError: The folder cannot be written, is held, or holds other predictions.
    """
    raise NotImplementedError


def find_checkpoint(path: Path) -> Path:
    """The weights that a path means: a ``.safetensors`` file, or the best ones in the folder of a training run.

    Raises:
        CheckpointError: There are none.
    """
    raise NotImplementedError

"""Stage 1 of a checkpoint against the references of many cases."""

from collections.abc import Sequence
from pathlib import Path

from pancascade.datasets import Case
from pancascade.evaluation.localization import LocalizationRow


def localization_rows(checkpoint: Path, cases: Sequence[Case], *, device: str = "cpu") -> list[LocalizationRow]:
    """A row for each slice (2-D cascades) or volume (3-D) that shows the target of stage 1.

    Boxes are compared on the network's own grid and have no margin: ``box`` of 2-D cascades, ``B1`` and ``B2`` of
    Zhao et al. (whose margins are part of them). Where stage 1 has a mask, its DSC is told by grid: ``reduced grid``
    and ``full grid``, or ``network grid``.

    Args:
        checkpoint: A ``.safetensors`` file, or the folder of a training run.
        cases: Read one at a time.
        device: ``cpu`` or ``cuda``.

    Raises:
        CheckpointError: Weights are missing or damaged.
        DataError: The cascade has no stage 1, or no case shows the target.
    """
    raise NotImplementedError

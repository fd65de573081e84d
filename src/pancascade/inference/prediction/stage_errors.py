"""Attribute a checkpoint's errors in the papers' pass to its stages, for each slice or volume."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pancascade.data.readers import AxialSlice, Case
from pancascade.errors import DataError
from pancascade.evaluation.attribution import Attribution, attribute
from pancascade.evaluation.localization import LocalizationRow
from pancascade.inference.pipeline.stage_tracing import StageTrace, trace_slice, trace_volume
from pancascade.inference.prediction.labelled_cases import LabelledCase, LabelledSlices, LabelledVolume, labelled_cases
from pancascade.inference.prediction.localization_rows import case_localization, require_located
from pancascade.inference.prediction.slice_pass import slice_on_grid
from pancascade.inference.runners.slice_runner import SliceRunner
from pancascade.labels import Label

TARGETS = {Label.PANCREAS: (Label.PANCREAS, Label.TUMOUR), Label.TUMOUR: (Label.TUMOUR,)}
"""Labels whose union is the target of a label's Dice."""


def attribution_rows(
    checkpoint: Path,
    cases: Sequence[Case],
    *,
    device: str = "cpu",
    on_done: Callable[[int, int], None] | None = None,
) -> dict[str, list[Attribution]]:
    """Return the errors by stage of each slice (2-D cascades) or volume (3-D) that shows a target, by target title.

    Args:
        checkpoint: A ``.safetensors`` file, or the folder of a training run.
        cases: Cases with references; each is read when its turn comes.
        device: ``cpu`` or ``cuda``.
        on_done: Called with the number of finished cases and the total.

    Raises:
        CheckpointError: Weights are missing or damaged.
        DataError: The cascade has no stage 1, a case cannot be read, or none shows a target.
    """
    rows: dict[str, list[Attribution]] = {}
    for case in labelled_cases(checkpoint, cases, device=device, on_done=on_done):
        _add_rows(rows, case)
    return _require_targets(rows)


def localization_and_attribution_rows(
    checkpoint: Path,
    cases: Sequence[Case],
    *,
    device: str = "cpu",
    on_done: Callable[[int, int], None] | None = None,
) -> tuple[list[LocalizationRow], dict[str, list[Attribution]]]:
    """Return the results of `localization_rows` and `attribution_rows`; weights and cases are read once.

    Args:
        checkpoint: See `attribution_rows`.
        cases: See `attribution_rows`.
        device: See `attribution_rows`.
        on_done: See `attribution_rows`.

    Raises:
        CheckpointError: See `attribution_rows`.
        DataError: See `attribution_rows`.
    """
    located: list[LocalizationRow] = []
    rows: dict[str, list[Attribution]] = {}
    for case in labelled_cases(checkpoint, cases, device=device, on_done=on_done):
        located += case_localization(case)
        _add_rows(rows, case)
    return require_located(located), _require_targets(rows)


def _add_rows(rows: dict[str, list[Attribution]], case: LabelledCase) -> None:
    for name, patient, traced in _slice_traces(*case) if isinstance(case, LabelledSlices) else _volume_trace(case):
        for label, row in rows_of(traced, case=name, patient=patient).items():
            rows.setdefault(label.title, []).append(row)


def _require_targets(rows: dict[str, list[Attribution]]) -> dict[str, list[Attribution]]:
    if not rows:
        raise DataError("No case shows a target that the weights can find. Is it the right data set?")
    return rows


def rows_of(traced: StageTrace, *, case: str, patient: str) -> dict[Label, Attribution]:
    """Return the attribution of each label that the model can find and the reference shows."""
    return {
        label: attribute(
            np.isin(traced.labels, TARGETS[label]),
            np.isin(traced.true_box_labels, TARGETS[label]),
            np.isin(traced.reference, TARGETS[label]),
            covered,
            case=case,
            patient=patient,
        )
        for label, covered in traced.covered.items()
        if np.isin(traced.reference, TARGETS[label]).any()
    }


def _slice_traces(runner: SliceRunner, slices: Sequence[AxialSlice]) -> Iterator[tuple[str, str, StageTrace]]:
    """Yield name, patient and trace of each slice whose labels show a target."""
    for place, axial in enumerate(slices):
        if np.isin(axial.labels, list(TARGETS)).any():
            drawn = slice_on_grid(runner, slices, place)
            traced = trace_slice(
                runner, axial.hu, axial.labels, spacing_mm=axial.spacing_mm, drawn=(drawn.image, drawn.placement)
            )
            yield axial.name, axial.patient, traced


def _volume_trace(volume: LabelledVolume) -> Iterator[tuple[str, str, StageTrace]]:
    runner, case, scan_lps, labels = volume
    yield case.name, case.patient, trace_volume(runner, scan_lps, labels)

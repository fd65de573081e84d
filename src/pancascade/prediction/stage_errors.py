"""Where a checkpoint loses on a data set by the papers' pass: by stage, slice by slice or volume by volume."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pancascade.datasets import Case
from pancascade.datasets.case import hounsfield_notices
from pancascade.engines.devices import find_device
from pancascade.errors import DataError
from pancascade.evaluation.attribution import Attribution, attribute
from pancascade.inference.engine import SliceEngine
from pancascade.inference.loading import Engine, load_engine
from pancascade.inference.tracing import Trace, trace_slice, trace_volume
from pancascade.labels import Label
from pancascade.prediction.predict_cases import find_checkpoint
from pancascade.prediction.scan_pass import upright_hu
from pancascade.prediction.slice_pass import draw_slice
from pancascade.volume import reorient

TARGETS = {Label.PANCREAS: (Label.PANCREAS, Label.TUMOUR), Label.TUMOUR: (Label.TUMOUR,)}
"""Labels that are together what a label's Dice is of."""


def attribution_rows(
    checkpoint: Path,
    cases: Sequence[Case],
    *,
    device: str = "cpu",
    on_done: Callable[[int, int], None] | None = None,
) -> dict[str, list[Attribution]]:
    """Errors by stage of each slice (2-D cascades) or volume (3-D) that shows a target, by the target's title.

    Args:
        checkpoint: A ``.safetensors`` file, or the folder of a training run.
        cases: Read one at a time.
        device: ``cpu`` or ``cuda``.
        on_done: Called with the number of finished cases and of all.

    Raises:
        CheckpointError: Weights are missing or damaged.
        DataError: The cascade has no stage 1, a case cannot be read, or none shows a target.
    """
    engine = load_engine(find_checkpoint(checkpoint), find_device(device))
    if not engine.cascade.locates:
        raise DataError(f"{checkpoint.name}: has no stage 1 that could lose anything. Give a cascade.")
    rows: dict[str, list[Attribution]] = {}
    for done, case in enumerate(cases, start=1):
        for name, patient, traced in _traces(engine, case):
            for label, row in rows_of(traced, case=name, patient=patient).items():
                rows.setdefault(label.title, []).append(row)
        if on_done is not None:
            on_done(done, len(cases))
    if not rows:
        raise DataError("No case shows a target that the weights can find. Is it the right data set?")
    return rows


def rows_of(traced: Trace, *, case: str, patient: str) -> dict[Label, Attribution]:
    """The attribution of each label that the model can find and the reference shows."""
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


def _traces(engine: Engine, case: Case) -> Iterator[tuple[str, str, Trace]]:
    """Case, patient and trace of each slice or volume that shows anything."""
    if isinstance(engine, SliceEngine):
        slices = case.read_slices()
        for place, axial in enumerate(slices):
            if np.isin(axial.labels, list(TARGETS)).any():
                drawn = draw_slice(engine, slices, place)
                traced = trace_slice(
                    engine, axial.hu, axial.labels, spacing_mm=axial.spacing_mm, drawn=(drawn.image, drawn.placement)
                )
                yield axial.name, axial.patient, traced
        return
    if case.scan is None:
        raise DataError(f"{case.name}: single slices, and the weights need whole scans. Give volumes.")
    scan, labels = case.scan.read()
    if not case.scan.region:
        hounsfield_notices(scan)
    truth = reorient(labels, "LPS").voxels
    yield case.name, case.patient, trace_volume(engine, upright_hu(scan), np.ascontiguousarray(truth, np.uint8))

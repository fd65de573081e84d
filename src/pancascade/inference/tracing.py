"""A scan's way through a model beside the way it would have gone with stage 2 in the true boxes."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from pancascade.cascades import Cascade, Located
from pancascade.errors import DataError, GeometryError
from pancascade.inference.chain import look, regions
from pancascade.inference.engine import HandOver, SliceEngine
from pancascade.inference.finding import Finding
from pancascade.inference.loading import load_engines
from pancascade.inference.models import Model
from pancascade.labels import Label
from pancascade.postprocessing import decide
from pancascade.preprocessing import Placement, body_box
from pancascade.preprocessing.drawing import draw, take_off
from pancascade.preprocessing.search_range import search_range
from pancascade.volume import Box, Volume, reorient


@dataclass(frozen=True, eq=False)
class Trace:
    """One scan, or one slice, with its reference.

    Attributes:
        reference: Labels (I, J, K), axes to left, posterior, superior.
        labels: What the model finds.
        true_box_labels: What it finds if every stage 2 works in the true box, all else being stage 1's own.
        covered: Where a stage 2 looked, by the labels that the model can find.
    """

    reference: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    true_box_labels: NDArray[np.uint8]
    covered: dict[Label, NDArray[np.bool_]]


def trace(scan: Volume, reference: Volume, *, model: Model, device: str = "cpu") -> Trace:
    """Segment a scan twice: as it is, and with stage 2 in the true boxes.

    What `segment` would withhold as no plausible pancreas counts here.

    Args:
        scan: Hounsfield units.
        reference: Labels on the same grid, ids of `Label`.
        model: With one or more steps.
        device: ``cpu`` or ``cuda``.

    Raises:
        GeometryError: The reference is on another grid.
        DataError: No step of the model has a stage 1.
        CheckpointError: Weights are missing or damaged.
    """
    upright, truth = reorient(scan, "LPS"), reorient(reference, "LPS")
    if not truth.on_same_grid_as(upright):
        raise GeometryError(f"{reference.name}: not on the grid of {scan.name}. Write it on the scan's grid.")
    engines = load_engines(model, device)
    if not any(engine.cascade.locates for engine in engines) and len(engines) == 1:
        raise DataError(f"{model.name}: has no stage 1 that could lose anything. Give a cascade.")
    own, bound = Finding.nothing(), Finding.nothing()
    covered = {label: np.zeros(upright.shape, dtype=bool) for engine in engines for label in engine.cascade.labels}
    organ = Box.around(truth.voxels)
    true_organ = [] if organ is None else [organ]
    body = search_range(upright, body_box(upright))
    for step, engine in zip(model.steps, engines, strict=True):
        for place in [body] if step.field == "scan" else regions(step, upright, own):
            record = _Record()
            own = look(upright, own, step, engine, field=place, hand_over=record)
            for label in engine.cascade.labels:
                covered[label][place.slices] |= record.covered(place.shape)
        for place in [body] if step.field == "scan" else regions(step, upright, bound, organ=true_organ):
            boxes = _true_boxes(engine.cascade, truth.voxels[place.slices])
            bound = look(upright, bound, step, engine, field=place, hand_over=boxes)
    labels, true_box_labels = (
        finding.labels(
            upright.shape,
            spacing_mm=upright.spacing_mm,
            organ_threshold=model.organ_threshold,
            tumour_threshold=model.tumour_threshold,
        )
        for finding in (own, bound)
    )
    return Trace(truth.voxels.astype(np.uint8), labels, true_box_labels, covered)


def trace_slice(
    engine: SliceEngine, hu: NDArray[np.int16], labels: NDArray[np.uint8], *, spacing_mm: tuple[float, float] | None
) -> Trace:
    """The same for a single axial slice, as the 2-D papers see it; labels by the papers' rule.

    Args:
        engine: Of a cascade with a stage 1.
        hu: (H, W), row 0 anterior, column 0 the patient's right.
        labels: (H, W), ids of `Label`.
        spacing_mm: Row and column spacing; None takes the canvas's assumption.
    """
    row_mm, column_mm = spacing_mm or (engine.canvas.assumed_spacing_mm,) * 2
    volume = Volume(hu.T[:, :, None], np.diag([-column_mm, -row_mm, 1.0, 1.0]))
    truth = labels.T[:, :, None]
    single = SliceEngine(engine.cascade, engine.canvas, engine.device, consistent=False)
    record = _Record()
    found = [_decided(single, volume, hand_over) for hand_over in (record, _true_boxes(engine.cascade, truth))]
    covered = record.covered(volume.shape)
    return Trace(truth, found[0], found[1], dict.fromkeys(engine.cascade.labels, covered))


def _decided(engine: SliceEngine, volume: Volume, hand_over: HandOver) -> NDArray[np.uint8]:
    foreground = torch.from_numpy(engine.run(volume, hand_over=hand_over).on_scan(0, volume.shape[2])).float()
    probabilities = torch.cat(((1 - foreground.sum(dim=0, keepdim=True)).clamp(min=0), foreground))
    return decide(probabilities[None])[0].numpy()


@dataclass
class _Record:
    """A hand-over that changes nothing and remembers where stage 2 looks."""

    seen: list[tuple[int, Placement | None, tuple[Box, ...]]] = field(default_factory=list)

    def __call__(self, part: slice, placement: Placement | None, located: Located) -> Located:
        self.seen += [(part.start + n, placement, boxes) for n, boxes in enumerate(located.boxes)]
        return located

    def covered(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """(I, J, K) of the part of the scan that was run, True inside any box."""
        mask = np.zeros(shape, dtype=bool)
        for k, placement, boxes in self.seen:
            if placement is None:
                for box in boxes:
                    mask[box.clip(shape).slices] = True
                continue
            sheet = torch.zeros((1, 1, *placement.canvas))
            for box in boxes:
                sheet[0, 0][box.clip(placement.canvas).slices] = 1
            mask[:, :, k] = (take_off(sheet, placement)[0, 0] >= 0.5).numpy().T
        return mask


def _true_boxes(cascade: Cascade, truth: NDArray[np.uint8]) -> HandOver:
    """A hand-over that puts the true organ's boxes in the place of stage 1's and keeps its probabilities."""

    def hand_over(part: slice, placement: Placement | None, located: Located) -> Located:
        organ = torch.from_numpy(np.isin(truth[:, :, part], cascade.first_target)).float()
        if placement is None:
            sheet = organ[None, None]
        else:
            sheet = (draw(organ.permute(2, 1, 0)[:, None], placement) >= 0.5).float()
        sheet = sheet.to(located.probabilities.device)
        return cascade.with_boxes_of(located, cascade.take_over(sheet, sheet))

    return hand_over

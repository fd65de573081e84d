"""A scan's way through a model beside the way it would have gone with stage 2 in the true boxes."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import DataError, GeometryError
from pancascade.imaging.postprocessing import decide
from pancascade.imaging.preprocessing import Placement
from pancascade.imaging.preprocessing.network_grid import draw, take_off
from pancascade.imaging.volume import Box, Volume, reorient
from pancascade.inference.backends.runnable_cascade import Handover, RunnableCascade
from pancascade.inference.models.model import Model
from pancascade.inference.pipeline.decision import average, decide_finding
from pancascade.inference.pipeline.steps import follow
from pancascade.inference.runners.loading import Engine, Member, labels_of, load_engines
from pancascade.inference.runners.slice_runner import HandOver, SliceEngine
from pancascade.inference.runners.volume_runner import VolumeEngine
from pancascade.labels import Label


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
    """Segment a scan twice: as `segment` does, and with stage 2 in the true boxes.

    Both go the way that `segment` goes, search, calibration and thresholds included, so that the labels are its mask.

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
    member = Member(model, tuple(engines))
    if not any(engine.cascade.locates for engine in engines) and len(engines) == 1:
        raise DataError(f"{model.name}: has no stage 1 that could lose anything. Give a cascade.")
    recorder, bound = _Recorder(), _TrueBoxes(truth.voxels)
    found = (average([follow(upright, member, watcher=watcher)]) for watcher in (recorder, bound))
    labels, true_box_labels = (decide_finding(one, upright, [member]).labels for one in found)
    return Trace(truth.voxels.astype(np.uint8), labels, true_box_labels, recorder.covered(upright.shape, member))


def trace_slice(
    engine: SliceEngine,
    hu: NDArray[np.int16],
    labels: NDArray[np.uint8],
    *,
    spacing_mm: tuple[float, float] | None,
    drawn: tuple[NDArray[np.float32], Placement] | None = None,
) -> Trace:
    """The same for a single axial slice by the papers' pass, so that the labels are `predict`'s.

    Args:
        engine: Of a cascade with a stage 1.
        hu: (H, W), row 0 anterior, column 0 the patient's right.
        labels: (H, W), ids of `Label`.
        spacing_mm: Row and column spacing; None takes the canvas's assumption.
        drawn: The slice on its canvas, (1, channels, H, W), and its place there, where its neighbours are known; None
            draws it alone.
    """
    truth = labels.T[:, :, None]
    if drawn is None:
        drawn = engine.draw_alone(hu, spacing_mm)
    image, placement = drawn
    record = _Record()
    found = []
    for hand_over in (record, _true_boxes(engine.cascade, truth)):
        maps = engine.run_alone(image, [placement], hand_over=partial(hand_over, slice(0, 1), placement))[0]
        found.append(decide(maps[None])[0].T[:, :, None])
    covered = record.covered(truth.shape)
    return Trace(truth, found[0], found[1], dict.fromkeys(engine.cascade.labels, covered))


def trace_volume(engine: VolumeEngine, upright: Volume, labels: NDArray[np.uint8]) -> Trace:
    """The same for a whole scan by a 3-D cascade, by the paper's pass.

    Args:
        engine: Of a cascade with a stage 1.
        upright: The scan, oriented LPS, Hounsfield units.
        labels: (I, J, K) on its grid, ids of `Label`.
    """
    record = _Record()
    found = []
    for hand_over in (record, _true_boxes(engine.cascade, labels)):
        answer = engine.run_alone(upright, hand_over=partial(hand_over, slice(0, upright.shape[2]), None))
        mask = np.zeros(upright.shape, np.uint8)
        if answer is not None:
            mask[answer[0].slices] = decide(answer[1][None])[0]
        found.append(mask)
    covered = record.covered(upright.shape)
    return Trace(labels, found[0], found[1], dict.fromkeys(engine.cascade.labels, covered))


@dataclass
class _Record:
    """A hand-over that changes nothing and remembers where stage 2 looks."""

    seen: list[tuple[int, Placement | None, tuple[Box, ...]]] = field(default_factory=list)

    def __call__(self, part: slice, placement: Placement | None, located: Handover) -> Handover:
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
            sheet = np.zeros((1, 1, *placement.canvas), np.float32)
            for box in boxes:
                sheet[0, 0][box.clip(placement.canvas).slices] = 1
            mask[:, :, k] = (take_off(sheet, placement)[0, 0] >= 0.5).T
        return mask


class _Recorder:
    """Changes nothing on a scan's way, and remembers where each stage 2 looks whose finding is taken."""

    organ: list[Box] | None = None

    def __init__(self) -> None:
        self._looks: list[tuple[Engine, Box, _Record]] = []

    def between(self, engine: Engine, field: Box) -> HandOver:
        record = _Record()
        self._looks.append((engine, field, record))
        return record

    def covered(self, shape: tuple[int, int, int], member: Member) -> dict[Label, NDArray[np.bool_]]:
        """(I, J, K) of the scan by label, True where a stage 2 that can find it looked."""
        found = {label: np.zeros(shape, dtype=bool) for engine in member.engines for label in labels_of(engine)}
        for engine, place, record in self._looks:
            looked = record.covered(place.shape)
            for label in engine.cascade.labels:
                found[label][place.slices] |= looked
        return found


class _TrueBoxes:
    """Puts the true organ's boxes in the place of stage 1's on a scan's whole way."""

    def __init__(self, truth: NDArray[np.uint8]) -> None:
        organ = Box.around(truth)
        self.organ: list[Box] | None = [] if organ is None else [organ]
        self._truth = truth

    def between(self, engine: Engine, field: Box) -> HandOver:
        return _true_boxes(engine.cascade, self._truth[field.slices])


def _true_boxes(cascade: RunnableCascade, truth: NDArray[np.uint8]) -> HandOver:
    """A hand-over that puts the true organ's boxes in the place of stage 1's and keeps its probabilities."""

    def hand_over(part: slice, placement: Placement | None, located: Handover) -> Handover:
        organ = np.isin(truth[:, :, part], cascade.first_target).astype(np.float32)
        if placement is None:
            sheet = organ[None, None]
        else:
            sheet = (draw(organ.transpose(2, 1, 0)[:, None], placement) >= 0.5).astype(np.float32)
        return cascade.with_boxes_of(located, cascade.take_over(sheet, sheet))

    return hand_over

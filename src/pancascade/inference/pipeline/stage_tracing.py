"""Run a model on a scan twice, as it is and with the true boxes for stage 2, to compare the results."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import DataError, GeometryError
from pancascade.imaging.postprocessing import decide
from pancascade.imaging.preprocessing import Placement
from pancascade.imaging.preprocessing.network_grid import to_network_grid, to_scan_grid
from pancascade.imaging.volume import Box, Volume, reorient
from pancascade.inference.backends.runnable_cascade import Handover, RunnableCascade
from pancascade.inference.models.model import Model
from pancascade.inference.pipeline.decision import average, decide_labels
from pancascade.inference.pipeline.steps import run_pipeline
from pancascade.inference.runners.loading import LoadedModel, Runner, labels_of, load_runners
from pancascade.inference.runners.slice_runner import HandOver, SliceRunner
from pancascade.inference.runners.volume_runner import VolumeRunner
from pancascade.labels import Label


@dataclass(frozen=True, eq=False)
class StageTrace:
    """One scan, or one slice, with its reference and both results.

    Attributes:
        reference: Labels (I, J, K), axes to left, posterior, superior.
        labels: Labels of the model.
        true_box_labels: Labels if every stage 2 works in the true box; all else is stage 1's.
        covered: (I, J, K) for each label of the model, True where a stage 2 worked.
    """

    reference: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    true_box_labels: NDArray[np.uint8]
    covered: dict[Label, NDArray[np.bool_]]


def trace(scan: Volume, reference: Volume, *, model: Model, device: str = "cpu") -> StageTrace:
    """Segment a scan twice: as `segment` does, and with stage 2 in the true boxes.

    Both use the whole pipeline of `segment`, with search, calibration and thresholds, so `labels` equal its mask.

    Args:
        scan: Hounsfield units.
        reference: Labels on the same grid, ids of `Label`.
        model: A model with one or more steps.
        device: ``cpu`` or ``cuda``.

    Raises:
        GeometryError: The reference is on another grid.
        DataError: The model has a single step, without a stage 1.
        CheckpointError: Weights are missing or damaged.
    """
    scan_lps, reference_labels = reorient(scan, "LPS"), reorient(reference, "LPS")
    if not reference_labels.on_same_grid_as(scan_lps):
        raise GeometryError(f"{reference.name}: not on the grid of {scan.name}. Write it on the scan's grid.")
    runners = load_runners(model, device)
    loaded_model = LoadedModel(model, tuple(runners))
    if not any(runner.cascade.locates for runner in runners) and len(runners) == 1:
        raise DataError(f"{model.name}: has no stage 1 to trace. Give a cascade.")
    recorder, bound = _StageRecorder(), _ReferenceBoxes(reference_labels.voxels)
    found = (average([run_pipeline(scan_lps, loaded_model, watcher=watcher)]) for watcher in (recorder, bound))
    labels, true_box_labels = (decide_labels(one, scan_lps, [loaded_model]).labels for one in found)
    return StageTrace(
        reference_labels.voxels.astype(np.uint8),
        labels,
        true_box_labels,
        recorder.covered(scan_lps.shape, loaded_model),
    )


def trace_slice(
    runner: SliceRunner,
    hu: NDArray[np.int16],
    labels: NDArray[np.uint8],
    *,
    spacing_mm: tuple[float, float] | None,
    drawn: tuple[NDArray[np.float32], Placement] | None = None,
) -> StageTrace:
    """Trace a single axial slice by the papers' pass, so that `labels` equal those of `predict`.

    Args:
        runner: Runner of a cascade with a stage 1.
        hu: (H, W) Hounsfield units, row 0 anterior, column 0 the patient's right.
        labels: (H, W), ids of `Label`.
        spacing_mm: Row and column spacing; None uses the canvas's assumption.
        drawn: The slice with its neighbours on the network grid, (1, channels, H, W), and its placement; None places
            the slice alone.
    """
    reference_labels = labels.T[:, :, None]
    if drawn is None:
        drawn = runner.slice_on_network_grid(hu, spacing_mm)
    image, placement = drawn
    record = _Record()
    found = []
    for hand_over in (record, _reference_boxes(runner.cascade, reference_labels)):
        maps = runner.run_alone(image, [placement], hand_over=partial(hand_over, slice(0, 1), placement))[0]
        found.append(decide(maps[None])[0].T[:, :, None])
    covered = record.covered(reference_labels.shape)
    return StageTrace(reference_labels, found[0], found[1], dict.fromkeys(runner.cascade.labels, covered))


def trace_volume(runner: VolumeRunner, scan_lps: Volume, labels: NDArray[np.uint8]) -> StageTrace:
    """Trace a whole scan by a 3-D cascade, by the paper's pass.

    Args:
        runner: Runner of a cascade with a stage 1.
        scan_lps: The scan, LPS, Hounsfield units.
        labels: (I, J, K) on its grid, ids of `Label`.
    """
    record = _Record()
    found = []
    for hand_over in (record, _reference_boxes(runner.cascade, labels)):
        answer = runner.run_alone(scan_lps, hand_over=partial(hand_over, slice(0, scan_lps.shape[2]), None))
        mask = np.zeros(scan_lps.shape, np.uint8)
        if answer is not None:
            mask[answer[0].slices] = decide(answer[1][None])[0]
        found.append(mask)
    covered = record.covered(scan_lps.shape)
    return StageTrace(labels, found[0], found[1], dict.fromkeys(runner.cascade.labels, covered))


@dataclass
class _Record:
    """A hand-over that changes nothing and records where stage 2 works."""

    seen: list[tuple[int, Placement | None, tuple[Box, ...]]] = field(default_factory=list)

    def __call__(self, part: slice, placement: Placement | None, located: Handover) -> Handover:
        self.seen += [(part.start + n, placement, boxes) for n, boxes in enumerate(located.boxes)]
        return located

    def covered(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return (I, J, K) of the traced part of the scan, True inside any box."""
        mask = np.zeros(shape, dtype=bool)
        for k, placement, boxes in self.seen:
            if placement is None:
                for box in boxes:
                    mask[box.clip(shape).slices] = True
                continue
            grid_map = np.zeros((1, 1, *placement.canvas), np.float32)
            for box in boxes:
                grid_map[0, 0][box.clip(placement.canvas).slices] = 1
            mask[:, :, k] = (to_scan_grid(grid_map, placement)[0, 0] >= 0.5).T
        return mask


class _StageRecorder:
    """Changes nothing in a scan's pipeline, and records where each stage 2 works."""

    organ: list[Box] | None = None

    def __init__(self) -> None:
        self._passes: list[tuple[Runner, Box, _Record]] = []

    def between(self, runner: Runner, field: Box) -> HandOver:
        record = _Record()
        self._passes.append((runner, field, record))
        return record

    def covered(self, shape: tuple[int, int, int], loaded_model: LoadedModel) -> dict[Label, NDArray[np.bool_]]:
        """Return (I, J, K) of the scan for each label, True where a stage 2 that can find it worked."""
        found = {label: np.zeros(shape, dtype=bool) for runner in loaded_model.runners for label in labels_of(runner)}
        for runner, place, record in self._passes:
            covered_here = record.covered(place.shape)
            for label in runner.cascade.labels:
                found[label][place.slices] |= covered_here
        return found


class _ReferenceBoxes:
    """Replaces stage 1's boxes by the reference organ's in a scan's whole pipeline."""

    def __init__(self, reference_labels: NDArray[np.uint8]) -> None:
        organ = Box.around(reference_labels)
        self.organ: list[Box] | None = [] if organ is None else [organ]
        self._reference = reference_labels

    def between(self, runner: Runner, field: Box) -> HandOver:
        return _reference_boxes(runner.cascade, self._reference[field.slices])


def _reference_boxes(cascade: RunnableCascade, reference_labels: NDArray[np.uint8]) -> HandOver:
    """Return a hand-over that replaces stage 1's boxes by the reference organ's and keeps its probabilities."""

    def hand_over(part: slice, placement: Placement | None, located: Handover) -> Handover:
        organ = np.isin(reference_labels[:, :, part], cascade.first_target).astype(np.float32)
        if placement is None:
            grid_map = organ[None, None]
        else:
            grid_map = (to_network_grid(organ.transpose(2, 1, 0)[:, None], placement) >= 0.5).astype(np.float32)
        return cascade.replace_rois(located, cascade.from_mask(grid_map, grid_map))

    return hand_over

"""Run the steps of a model one after another on an LPS scan."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from pancascade.imaging.preprocessing import patient_box
from pancascade.imaging.preprocessing.search_range import search_range
from pancascade.imaging.volume import Box, Volume, crop
from pancascade.inference.localization.location_confidence import agreement_of, with_agreement, with_fitted_confidence
from pancascade.inference.localization.region_probabilities import RegionProbabilities, combine
from pancascade.inference.localization.search_region import CONFIDENT, Stage1Result, score_plausibility
from pancascade.inference.models.model import Step
from pancascade.inference.models.model_calibration import calibrated
from pancascade.inference.runners.external_runner import ExternalRunner
from pancascade.inference.runners.loading import LoadedModel, Runner, StepRunner
from pancascade.inference.runners.slice_runner import HandOver, Progress
from pancascade.inference.runners.stopwatch import Stopwatch
from pancascade.labels import Label
from pancascade.results.location import Location

SCORED_AT_MM = 2.0
"""Voxel size at which a result is scored: finer voxels add no information and take memory."""

LOW_CONFIDENCE_MARGIN = 2.0
"""Factor of the margin around a region of low confidence."""


class StageWatcher(Protocol):
    """Sees, and may change, the hand-over from stage 1 to stage 2 in a scan's pipeline.

    Attributes:
        organ: Boxes of the organ for later steps, in place of the predicted ones; None keeps the predicted ones.
    """

    organ: list[Box] | None

    def between(self, runner: Runner, field: Box) -> HandOver:
        """Return the function that a cascade calls between its stages when it works in a field of the LPS scan."""
        ...


def run_pipeline(
    scan_lps: Volume,
    loaded_model: LoadedModel,
    *,
    progress: Progress | None = None,
    clock: Stopwatch | None = None,
    watcher: StageWatcher | None = None,
) -> RegionProbabilities:
    """Run all steps of a model and return their combined, calibrated prediction.

    Args:
        scan_lps: The scan, LPS.
        loaded_model: The model with its cascades.
        progress: Called after each batch.
        clock: Measures the time of each step.
        watcher: Sees every hand-over.
    """
    clock = clock or Stopwatch()
    whole = Box.whole(scan_lps.shape)
    body = patient_box(scan_lps) if loaded_model.additions.body_box else whole
    prediction = RegionProbabilities.nothing()
    for step, runner in zip(loaded_model.model.steps, loaded_model.runners, strict=True):
        watch = clock.within(Path(step.weights).stem)
        if step.input == "scan" and step.rois_from == "self":
            prediction = search_scan(scan_lps, runner, body, progress=progress, clock=watch, watcher=watcher)
            continue
        fields = [body]
        if step.input == "roi":
            organ = None if watcher is None else watcher.organ
            fields, prediction = regions(step, scan_lps, prediction, organ=organ), with_margin(prediction, step)
        before, close = prediction, []
        for field in fields:
            hand_over = None
            if watcher is not None and not isinstance(runner, ExternalRunner):
                hand_over = watcher.between(runner, field)
            found = run_step(
                scan_lps, prediction, step, runner, field=field, progress=progress, hand_over=hand_over, clock=watch
            )
            close.append(found)
            prediction = (
                found if step.input == "scan" else combine(prediction, found, field=field, weight=step.organ_weight)
            )
        if step.input == "roi":
            prediction = with_agreement(prediction, agreement_of(before, close))
    prediction = with_fitted_confidence(prediction, loaded_model.model.location_fit)
    return calibrated(prediction, loaded_model.model.calibration) if loaded_model.additions.calibration else prediction


def search_scan(
    scan_lps: Volume,
    runner: StepRunner,
    body: Box,
    *,
    progress: Progress | None = None,
    clock: Stopwatch | None = None,
    watcher: StageWatcher | None = None,
) -> RegionProbabilities:
    """Run a cascade within the patient box, at the heights where the pancreas can lie.

    There is one pass. If no probability of stage 1 reaches ½, its best candidate below that is passed on with low
    confidence (`search_region.select_search_region`). A second pass at low resolution, as in earlier versions, gave
    worse results on scans of other hospitals.

    Args:
        scan_lps: The scan, LPS.
        runner: A step's cascade. A network of another program runs on the whole scan, as in its training, and its
            result is scored like a cascade's organ.
        body: Box of the patient.
        progress: Called after each batch.
        clock: Measures the time.
        watcher: Sees the hand-overs.
    """
    if isinstance(runner, ExternalRunner):
        found = runner.find(scan_lps, at=Box.whole(scan_lps.shape), progress=progress, clock=clock)
        located = result_plausibility(found, scan_lps, body)
        return replace(found, location=located.model_copy(update={"plausibility": located.confidence}))
    field = search_range(scan_lps, body) if runner.additions.search_range else body
    between = None if watcher is None else watcher.between(runner, field)
    found = runner.find(
        crop(scan_lps, field), at=field, whole_body=True, progress=progress, hand_over=between, clock=clock
    )
    if not (runner.fallback_search and runner.cascade.locates):
        return found
    return _with_result_plausibility(found, result_plausibility(found, scan_lps, field))


def _with_result_plausibility(found: RegionProbabilities, result_plausibility: Location) -> RegionProbabilities:
    """Limit the location's confidence to the plausibility of the result, and record that plausibility."""
    location = found.location
    if location is None:
        return found
    reported: dict[str, Any] = {"plausibility": result_plausibility.confidence}
    if result_plausibility.confidence < location.confidence:
        reasons = tuple(dict.fromkeys((*result_plausibility.reasons, *location.reasons)))
        reported |= {"confidence": result_plausibility.confidence, "reasons": reasons}
    return replace(found, location=location.model_copy(update=reported))


def result_plausibility(found: RegionProbabilities, scan_lps: Volume, body: Box) -> Location:
    """Score how plausible the final organ of a step is, with the rules for stage 1's location, at about 2 mm."""
    if found.box is None:
        return Location(confidence=0.0, reasons=("nothing_located",))
    steps = [max(1, int(SCORED_AT_MM / spacing)) for spacing in scan_lps.spacing_mm]
    seen = found.organ[:: steps[0], :: steps[1], :: steps[2]].transpose(2, 1, 0)
    column_mm, row_mm, slice_mm = (step * spacing for step, spacing in zip(steps, scan_lps.spacing_mm, strict=True))
    rows, columns = (
        tuple((edge[axis] - found.box.start[axis]) / steps[axis] for edge in (body.start, body.stop)) for axis in (1, 0)
    )
    extent = scan_lps.shape[2] * scan_lps.spacing_mm[2]
    sides = ((rows[0], rows[1]), (columns[0], columns[1]))
    return score_plausibility(Stage1Result(seen, (slice_mm, row_mm, column_mm), sides, extent_mm=extent))


def regions(
    step: Step, scan_lps: Volume, prediction: RegionProbabilities, *, organ: list[Box] | None = None
) -> list[Box]:
    """Return the boxes in which a step around the pancreas works.

    There is one box for each component of the organ; overlapping boxes are joined.

    Args:
        step: A step with a margin.
        scan_lps: The scan.
        prediction: The prediction so far. A location of low confidence doubles the margin. If no voxel of the organ
            reaches ½, half of the highest probability is the threshold.
        organ: Boxes of the organ to use in place of the prediction's.
    """
    boxes = organ if organ is not None else _organ_boxes(prediction, scan_lps.spacing_mm)
    margin_mm = step.margin_mm if organ is not None else _margin_mm(prediction, step)
    joined: list[Box] = []
    for box in boxes:
        field = box.expand_mm(margin_mm, spacing_mm=scan_lps.spacing_mm).clip(scan_lps.shape)
        while (other := next((one for one in joined if one.overlaps(field)), None)) is not None:
            joined.remove(other)
            field = field.union(other)
        joined.append(field)
    return joined


def with_margin(prediction: RegionProbabilities, step: Step) -> RegionProbabilities:
    """Record in the prediction's location the margin with which a step works around it."""
    if prediction.location is None:
        return prediction
    reported = prediction.location.model_copy(update={"margin_mm": _margin_mm(prediction, step)})
    return replace(prediction, location=reported)


def _margin_mm(prediction: RegionProbabilities, step: Step) -> float:
    low_confidence = prediction.location is not None and prediction.location.confidence < CONFIDENT
    return step.margin_mm * (LOW_CONFIDENCE_MARGIN if low_confidence else 1.0)


def _organ_boxes(prediction: RegionProbabilities, spacing_mm: tuple[float, float, float]) -> list[Box]:
    boxes = prediction.organ_boxes(spacing_mm=spacing_mm)
    if boxes or prediction.box is None:
        return boxes
    return prediction.organ_boxes(spacing_mm=spacing_mm, threshold=0.5 * float(prediction.organ.max()))


def run_step(
    scan_lps: Volume,
    prediction: RegionProbabilities,
    step: Step,
    runner: StepRunner,
    *,
    field: Box,
    progress: Progress | None = None,
    hand_over: HandOver | None = None,
    clock: Stopwatch | None = None,
) -> RegionProbabilities:
    """Run one step in a field of the scan and return its prediction.

    Args:
        scan_lps: The scan.
        prediction: The prediction so far.
        step: The step; with ``rois_from: previous_step`` the prediction so far replaces stage 1.
        runner: The step's cascade, or network of another program.
        field: Box in which it works.
        progress: Called after each batch.
        hand_over: Called between its stages.
        clock: Measures the time.
    """
    if isinstance(runner, ExternalRunner):
        return runner.find(crop(scan_lps, field), at=field, progress=progress, clock=clock)
    probability_map = None
    if step.rois_from == "previous_step":
        probability_map = prediction.probability_source(field, tumour=runner.cascade.first_target == (Label.TUMOUR,))
    return runner.find(
        crop(scan_lps, field),
        at=field,
        probability_map=probability_map,
        progress=progress,
        hand_over=hand_over,
        clock=clock,
    )

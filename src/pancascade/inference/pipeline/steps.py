"""A model's steps one after another on a scan whose axes are LPS."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from pancascade.imaging.preprocessing import body_box
from pancascade.imaging.preprocessing.search_range import search_range
from pancascade.imaging.volume import Box, Volume, crop
from pancascade.inference.localization.location_confidence import agreement_of, with_agreement, with_fitted_confidence
from pancascade.inference.localization.region_probabilities import Finding, combine
from pancascade.inference.localization.search_region import SURE, Sight, judge
from pancascade.inference.models.model import Step
from pancascade.inference.models.model_calibration import calibrated
from pancascade.inference.runners.external_runner import ExternalEngine
from pancascade.inference.runners.loading import Engine, Member, StepEngine
from pancascade.inference.runners.slice_runner import HandOver, Progress
from pancascade.inference.runners.stopwatch import Stopwatch
from pancascade.labels import Label
from pancascade.results.location import Location

JUDGED_AT_MM = 2.0
"""Voxel size at which an outcome is judged: finer says no more, and takes memory."""

DOUBTFUL_MARGIN = 2.0
"""How many times wider the margin around a doubtful region is."""


class StageWatcher(Protocol):
    """Sees, and may change, what stage 1 hands to stage 2 on a scan's way.

    Attributes:
        organ: Boxes of the organ around which later steps work, in place of those that were found; None for those.
    """

    organ: list[Box] | None

    def between(self, engine: Engine, field: Box) -> HandOver:
        """What a cascade that works in a field of the upright scan calls between its stages."""
        ...


def follow(
    upright: Volume,
    member: Member,
    *,
    progress: Progress | None = None,
    clock: Stopwatch | None = None,
    watcher: StageWatcher | None = None,
) -> Finding:
    """What all steps of a model find together, as its calibration corrects it.

    Args:
        upright: The scan, LPS.
        member: The model with its cascades.
        progress: Called after each batch.
        clock: Where the time goes.
        watcher: Sees every hand-over.
    """
    clock = clock or Stopwatch()
    whole = Box.whole(upright.shape)
    body = body_box(upright) if member.additions.body_box else whole
    finding = Finding.nothing()
    for step, engine in zip(member.model.steps, member.engines, strict=True):
        watch = clock.within(Path(step.weights).stem)
        if step.field == "scan" and step.locator == "own":
            finding = search(upright, engine, body, progress=progress, clock=watch, watcher=watcher)
            continue
        fields = [body]
        if step.field == "region":
            organ = None if watcher is None else watcher.organ
            fields, finding = regions(step, upright, finding, organ=organ), with_margin(finding, step)
        before, close = finding, []
        for field in fields:
            hand_over = None
            if watcher is not None and not isinstance(engine, ExternalEngine):
                hand_over = watcher.between(engine, field)
            found = look(
                upright, finding, step, engine, field=field, progress=progress, hand_over=hand_over, clock=watch
            )
            close.append(found)
            finding = found if step.field == "scan" else combine(finding, found, field=field, weight=step.organ_weight)
        if step.field == "region":
            finding = with_agreement(finding, agreement_of(before, close))
    finding = with_fitted_confidence(finding, member.model.location_fit)
    return calibrated(finding, member.model.calibration) if member.additions.calibration else finding


def search(
    upright: Volume,
    engine: StepEngine,
    body: Box,
    *,
    progress: Progress | None = None,
    clock: Stopwatch | None = None,
    watcher: StageWatcher | None = None,
) -> Finding:
    """What a cascade finds in the body, between the heights where the pancreas can lie.

    There is one pass. Where stage 1 finds nothing that reaches probability ½, its best candidate below that is passed
    on as doubtful (`locating.aim_at`); a second pass at low resolution, which earlier versions had, ended worse than
    the first on scans of other hospitals.

    Args:
        upright: The scan, LPS.
        engine: A step's cascade; a network of another program sees the whole scan, as it was trained to, and what it
            finds is judged as a cascade's organ is.
        body: Where the patient is.
        progress: Called after each batch.
        clock: Where the time goes.
        watcher: Sees the hand-overs at full resolution.
    """
    if isinstance(engine, ExternalEngine):
        found = engine.find(upright, at=Box.whole(upright.shape), progress=progress, clock=clock)
        located = outcome(found, upright, body)
        return replace(found, location=located.model_copy(update={"plausibility": located.confidence}))
    field = search_range(upright, body) if engine.additions.search_range else body
    between = None if watcher is None else watcher.between(engine, field)
    found = engine.find(
        crop(upright, field), at=field, whole_body=True, progress=progress, hand_over=between, clock=clock
    )
    if not (engine.rescue and engine.cascade.locates):
        return found
    return _doubted(found, outcome(found, upright, field))


def _doubted(found: Finding, outcome: Location) -> Finding:
    """A finding whose location is no surer than what was found there is plausible, and tells how plausible that is."""
    location = found.location
    if location is None:
        return found
    told: dict[str, Any] = {"plausibility": outcome.confidence}
    if outcome.confidence < location.confidence:
        reasons = tuple(dict.fromkeys((*outcome.reasons, *location.reasons)))
        told |= {"confidence": outcome.confidence, "reasons": reasons}
    return replace(found, location=location.model_copy(update=told))


def outcome(found: Finding, upright: Volume, body: Box) -> Location:
    """How plausible the organ is that a step has found in the end, judged as stage 1's location is, at about 2 mm."""
    if found.box is None:
        return Location(confidence=0.0, reasons=("nothing_located",))
    steps = [max(1, int(JUDGED_AT_MM / spacing)) for spacing in upright.spacing_mm]
    seen = found.organ[:: steps[0], :: steps[1], :: steps[2]].transpose(2, 1, 0)
    column_mm, row_mm, slice_mm = (step * spacing for step, spacing in zip(steps, upright.spacing_mm, strict=True))
    rows, columns = (
        tuple((edge[axis] - found.box.start[axis]) / steps[axis] for edge in (body.start, body.stop)) for axis in (1, 0)
    )
    extent = upright.shape[2] * upright.spacing_mm[2]
    sides = ((rows[0], rows[1]), (columns[0], columns[1]))
    return judge(Sight(seen, (slice_mm, row_mm, column_mm), sides, extent_mm=extent))


def regions(step: Step, upright: Volume, finding: Finding, *, organ: list[Box] | None = None) -> list[Box]:
    """Where a step looks that works around the pancreas: one region a body of the organ, joined where they overlap.

    Args:
        step: With a margin.
        upright: The scan.
        finding: What is known so far. A doubtful location widens the margin; of an organ that is nowhere likelier
            than not, the likeliest place is taken.
        organ: Boxes to take in place of the finding's.
    """
    boxes = organ if organ is not None else _organ_boxes(finding, upright.spacing_mm)
    margin_mm = step.margin_mm if organ is not None else _margin_mm(finding, step)
    joined: list[Box] = []
    for box in boxes:
        field = box.expand_mm(margin_mm, spacing_mm=upright.spacing_mm).clip(upright.shape)
        while (other := next((one for one in joined if one.overlaps(field)), None)) is not None:
            joined.remove(other)
            field = field.union(other)
        joined.append(field)
    return joined


def with_margin(finding: Finding, step: Step) -> Finding:
    """The finding, whose location tells the margin with which a step looks around it."""
    if finding.location is None:
        return finding
    told = finding.location.model_copy(update={"margin_mm": _margin_mm(finding, step)})
    return replace(finding, location=told)


def _margin_mm(finding: Finding, step: Step) -> float:
    doubtful = finding.location is not None and finding.location.confidence < SURE
    return step.margin_mm * (DOUBTFUL_MARGIN if doubtful else 1.0)


def _organ_boxes(finding: Finding, spacing_mm: tuple[float, float, float]) -> list[Box]:
    boxes = finding.organ_boxes(spacing_mm=spacing_mm)
    if boxes or finding.box is None:
        return boxes
    return finding.organ_boxes(spacing_mm=spacing_mm, threshold=0.5 * float(finding.organ.max()))


def look(
    upright: Volume,
    finding: Finding,
    step: Step,
    engine: StepEngine,
    *,
    field: Box,
    progress: Progress | None = None,
    hand_over: HandOver | None = None,
    clock: Stopwatch | None = None,
) -> Finding:
    """What a closer look at a field finds.

    Args:
        upright: The scan.
        finding: What is known so far.
        step: Whose belief is handed over.
        engine: The step's cascade, or network of another program.
        field: Where it looks.
        progress: Called after each batch.
        hand_over: Called between its stages.
        clock: Where the time goes.
    """
    if isinstance(engine, ExternalEngine):
        return engine.find(crop(upright, field), at=field, progress=progress, clock=clock)
    belief = None
    if step.locator == "before":
        belief = finding.believed(field, tumour=engine.cascade.first_target == (Label.TUMOUR,))
    return engine.find(
        crop(upright, field), at=field, belief=belief, progress=progress, hand_over=hand_over, clock=clock
    )

"""The search for tumours around a pancreas that was given, in place of a model's own search for the pancreas."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pancascade.imaging.volume import Box, Volume
from pancascade.inference.localization.region_probabilities import GIVEN_BELOW, Finding, combine
from pancascade.inference.models.model import Step
from pancascade.inference.models.model_calibration import calibrated
from pancascade.inference.pipeline.steps import look, regions
from pancascade.inference.runners.external_runner import ExternalEngine
from pancascade.inference.runners.loading import Member, StepEngine, labels_of
from pancascade.inference.runners.slice_runner import Progress
from pancascade.inference.runners.stopwatch import Stopwatch
from pancascade.labels import Label
from pancascade.messages.notices import Notice


def search_tumour(
    upright: Volume, member: Member, given: Finding, *, progress: Progress | None = None, clock: Stopwatch | None = None
) -> Finding:
    """The given organ with the tumours that a model finds in and around it.

    Args:
        upright: The scan, LPS.
        member: The model. Of its steps those take part that find tumours: those that work in a region of the organ,
            or, if there are none, those of the whole scan, which then get the given organ in place of stage 1's.
        given: The organ, with probability 1.
        progress: Called after each batch.
        clock: Where the time goes.

    Returns:
        The organ has probability 1 where it was given, and nowhere else.
    """
    clock = clock or Stopwatch()
    finding = given
    for step, engine in tumour_steps(member):
        watch = clock.within(Path(step.weights).stem)
        sees_all = isinstance(engine, ExternalEngine) and step.field == "scan"
        for field in [Box.whole(upright.shape)] if sees_all else regions(step, upright, given):
            found = look(upright, given, step, engine, field=field, progress=progress, clock=watch)
            finding = combine(finding, found, field=field, weight=0.0)
    if member.additions.calibration:
        finding = calibrated(finding, member.model.calibration)
    if finding.box is None:
        return finding
    organ = np.where(given.organ_in(finding.box) > 0, np.float32(1), np.minimum(finding.tumour, GIVEN_BELOW))
    return replace(finding, organ=organ, tumour=np.minimum(finding.tumour, organ), location=None)


def tumour_steps(member: Member) -> list[tuple[Step, StepEngine]]:
    """The steps of a model that look for tumours around a given organ."""
    able = [
        (step, engine)
        for step, engine in zip(member.model.steps, member.engines, strict=True)
        if Label.TUMOUR in labels_of(engine)
    ]
    close = [pair for pair in able if pair[0].field == "region"]
    return close or [(_told_where(step, engine), engine) for step, engine in able]


def _told_where(step: Step, engine: StepEngine) -> Step:
    """A step of the whole scan, whose first stage finds the organ: that is known."""
    if isinstance(engine, ExternalEngine):
        return step
    finds_organ = engine.cascade.locates and engine.cascade.first_target != (Label.TUMOUR,)
    return step.model_copy(update={"locator": "before"}) if finds_organ else step


def search_notices(members: list[Member]) -> list[Notice]:
    """That none of the models looks for tumours, if so."""
    if any(tumour_steps(member) for member in members):
        return []
    sentence = (
        "No tumour was looked for: the model finds the pancreas only, and that was given. Choose another --model."
    )
    return [Notice(code="tumour_not_searched", about="location", sentence=sentence)]

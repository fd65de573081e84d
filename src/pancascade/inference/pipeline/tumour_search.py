"""Search for tumours around a given pancreas, without the model's own search for the pancreas."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pancascade.imaging.volume import Box, Volume
from pancascade.inference.localization.region_probabilities import GIVEN_BELOW, RegionProbabilities, combine
from pancascade.inference.models.model import Step
from pancascade.inference.models.model_calibration import calibrated
from pancascade.inference.pipeline.steps import regions, run_step
from pancascade.inference.runners.external_runner import ExternalRunner
from pancascade.inference.runners.loading import LoadedModel, StepRunner, labels_of
from pancascade.inference.runners.slice_runner import Progress
from pancascade.inference.runners.stopwatch import Stopwatch
from pancascade.labels import Label
from pancascade.messages.notices import Notice


def search_tumour(
    scan_lps: Volume,
    loaded_model: LoadedModel,
    given: RegionProbabilities,
    *,
    progress: Progress | None = None,
    clock: Stopwatch | None = None,
) -> RegionProbabilities:
    """Return the given organ with the tumours that a model finds in and around it.

    Args:
        scan_lps: The scan, LPS.
        loaded_model: The model. Its tumour steps run: those that work in a region of the organ, or, if there are none,
            those of the whole scan, which then use the given organ in place of stage 1.
        given: The organ, with probability 1.
        progress: Called after each batch.
        clock: Measures the time of each step.

    Returns:
        The prediction; the organ has probability 1 where it was given, and less elsewhere.
    """
    clock = clock or Stopwatch()
    prediction = given
    for step, runner in tumour_steps(loaded_model):
        watch = clock.within(Path(step.weights).stem)
        sees_all = isinstance(runner, ExternalRunner) and step.input == "scan"
        for field in [Box.whole(scan_lps.shape)] if sees_all else regions(step, scan_lps, given):
            found = run_step(scan_lps, given, step, runner, field=field, progress=progress, clock=watch)
            prediction = combine(prediction, found, field=field, weight=0.0)
    if loaded_model.additions.calibration:
        prediction = calibrated(prediction, loaded_model.model.calibration)
    if prediction.box is None:
        return prediction
    organ = np.where(given.organ_in(prediction.box) > 0, np.float32(1), np.minimum(prediction.tumour, GIVEN_BELOW))
    return replace(prediction, organ=organ, tumour=np.minimum(prediction.tumour, organ), location=None)


def tumour_steps(loaded_model: LoadedModel) -> list[tuple[Step, StepRunner]]:
    """Return the steps of a model that search for tumours around a given organ."""
    able = [
        (step, runner)
        for step, runner in zip(loaded_model.model.steps, loaded_model.runners, strict=True)
        if Label.TUMOUR in labels_of(runner)
    ]
    close = [pair for pair in able if pair[0].input == "roi"]
    return close or [(_in_given_organ(step, runner), runner) for step, runner in able]


def _in_given_organ(step: Step, runner: StepRunner) -> Step:
    """Return a step of the whole scan that uses the given organ in place of a stage 1 that finds the organ."""
    if isinstance(runner, ExternalRunner):
        return step
    finds_organ = runner.cascade.locates and runner.cascade.first_target != (Label.TUMOUR,)
    return step.model_copy(update={"rois_from": "previous_step"}) if finds_organ else step


def search_notices(loaded_models: list[LoadedModel]) -> list[Notice]:
    """Return a warning if none of the models searches for tumours."""
    if any(tumour_steps(loaded_model) for loaded_model in loaded_models):
        return []
    sentence = "No tumour was searched for: the model finds the pancreas only, which was given. Choose another --model."
    return [Notice(code="tumour_not_searched", about="location", sentence=sentence)]

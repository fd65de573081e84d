"""Run one training of a plan: train, predict as in the paper, measure; resumable at any point."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pancascade.errors import CheckpointError, DataError
from pancascade.evaluation import Protocol
from pancascade.evaluation.data_set import evaluate_data_set
from pancascade.files.digests import content_digest
from pancascade.files.given_paths import real_path
from pancascade.inference.prediction import localization_rows, predict_cases
from pancascade.methods.cascades import Cascade
from pancascade.methods.checkpoint import load_checkpoint
from pancascade.methods.weights_file import read_header
from pancascade.reproduction.measured import NAME, CaseValue, Measured, keep_measured, kept_measured
from pancascade.reproduction.measuring import masks_of_other_software, measure_masks, stage_one_values
from pancascade.reproduction.plan import Plan, PlannedTraining
from pancascade.reproduction.published_numbers import CaseQuantity
from pancascade.reproduction.row_recipe import write_recipe
from pancascade.training import fit
from pancascade.training.run import BEST, ProgressCall
from pancascade.training.state import LAST, Progress

RECIPE, RUN, TEST = "recipe.yaml", "run", "test"


@dataclass(frozen=True)
class Resources:
    """Settings and callbacks of the trainings.

    Attributes:
        folder: Folder of the trainings, with a folder for each.
        device: ``cpu`` or ``cuda``.
        workers: Number of processes for prediction and measurement.
        reported: Called with the name of each step: "training U, fold 0".
        trained: Called after each batch.
        predicted: Called after each case, with the number of finished cases and the total.
    """

    folder: Path
    device: str = "cpu"
    workers: int = 1
    reported: Callable[[str], None] = lambda _: None
    trained: ProgressCall | None = None
    predicted: Callable[[int, int], None] | None = None


def finished(plan: Plan, training: PlannedTraining, folder: Path) -> Measured | None:
    """Return the results of a finished training; None if something is left to do."""
    kept = kept_measured(folder / training.name / NAME, recipe=training.digest)
    return kept if kept is not None and plan.needed(training) <= kept.values.keys() else None


def run_training(plan: Plan, training: PlannedTraining, resources: Resources, *, protocol: Protocol) -> Measured:
    """Train if needed, predict the test part as in the paper, and measure.

    Writes in its own folder below that of the trainings: ``recipe.yaml``, ``run`` (see `pancascade.training.fit`),
    ``test`` (masks, see `pancascade.inference.prediction.predict_cases`) and ``measured.json``.

    Args:
        plan: Plan of the table.
        training: One of its trainings.
        resources: Settings and callbacks.
        protocol: Protocol of the evaluation.

    Raises:
        PancascadeError: Data, recipe or folder cannot be used, or no case could be predicted.
    """
    folder = resources.folder / training.name
    kept = finished(plan, training, resources.folder)
    if kept is not None:
        return kept
    best, epochs, hours = _train(plan, training, folder, resources)
    resources.reported(f"predicting with {training.name}")
    cases = training.fold.test.cases
    predict_cases(
        best,
        cases,
        folder / TEST,
        device=resources.device,
        workers=resources.workers,
        resume=True,
        on_done=resources.predicted,
    )
    resources.reported(f"measuring {training.name}")
    found = evaluate_data_set(folder / TEST, cases, method=training.name, protocol=protocol, workers=resources.workers)
    cascade, _ = load_checkpoint(best)
    measured = Measured(
        recipe=training.digest,
        weights=content_digest(best),
        epochs=epochs,
        hours=hours,
        records=found.cases,
        values={key: tuple(values) for key, values in _stage_one(plan, training, best, cascade, resources).items()},
        first_parameters=_millions(cascade),
        failed={failure.case: failure.message for failure in found.failures},
    )
    keep_measured(folder / NAME, measured)
    return measured


def measure_given(plan: Plan, row: str, *, protocol: Protocol, workers: int) -> tuple[Measured, ...]:
    """Return the results of masks by other software, one for each fold.

    Args:
        plan: Plan of the table.
        row: One of its rows with masks.
        protocol: Protocol of the evaluation.
        workers: Number of processes.

    Raises:
        PancascadeError: A mask is missing, or does not fit its reference.
    """
    found = []
    for fold in plan.folds:
        masks = masks_of_other_software(row, plan.masks[row], fold.test.cases)
        records = measure_masks(fold.test.cases, masks, protocol=protocol, workers=workers)
        found.append(Measured(recipe="", records=tuple(records)))
    return tuple(found)


def _train(plan: Plan, training: PlannedTraining, folder: Path, resources: Resources) -> tuple[Path, int, float]:
    """Train or continue; return best weights, trained epochs, and hours."""
    run, last, best = folder / RUN, folder / RUN / LAST, folder / RUN / BEST
    total = sum(phase["epochs"] for phase in training.recipe["phases"])
    progress = _progress(last)
    if progress is None or progress.epoch < total or not best.is_file():
        resources.reported(f"training {training.name}")
        write_recipe(folder / RECIPE, training.recipe, training.source)
        fit(
            folder / RECIPE,
            real_path(plan.place.path).parent,
            out=run,
            resume=True,
            device=resources.device,
            progress=resources.trained,
        )
        progress = _progress(last)
    if progress is None or not best.is_file():
        raise DataError(f"{training.name}: the training left no weights. Delete its folder. Continue with --resume.")
    return best, progress.epoch, sum(epoch.seconds for epoch in progress.history) / 3600


def epochs_done(run: Path) -> int:
    """Return the number of epochs that a training has finished.

    Args:
        run: Folder of the training, which may be missing.
    """
    progress = _progress(run / LAST)
    return 0 if progress is None else progress.epoch


def _progress(last: Path) -> Progress | None:
    if not last.is_file():
        return None
    try:
        return Progress.model_validate(read_header(last))
    except (CheckpointError, ValidationError):
        return None  # training reports what is wrong with it


def _stage_one(
    plan: Plan, training: PlannedTraining, best: Path, cascade: Cascade, resources: Resources
) -> dict[CaseQuantity, list[CaseValue]]:
    needed = plan.needed(training)
    if not needed or not cascade.locates:
        return {key: [] for key in needed}
    resources.reported(f"stage 1 of {training.name}")
    values = stage_one_values(
        localization_rows(best, training.fold.test.cases, device=resources.device), training=False
    )
    if "box_iou_training" in needed:
        rows = localization_rows(best, training.fold.train.cases, device=resources.device)
        values |= stage_one_values(rows, training=True)
    return {**{key: [] for key in needed}, **values}


def _millions(cascade: Cascade) -> float | None:
    """Return the number of parameters of stage 1, in millions."""
    first = getattr(cascade, "first", None)
    if not cascade.locates or first is None:
        return None
    return sum(parameter.numel() for parameter in first.parameters()) / 1e6

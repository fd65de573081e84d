"""A paper's table from a data set: plan, time, train, predict, measure, write; resumable at any place."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pancascade.errors import DataError, OutputError, PancascadeError
from pancascade.evaluation import PROTOCOLS, Protocol
from pancascade.files.atomic import written_whole
from pancascade.files.digests import content_digest
from pancascade.files.documents import read_json, reason
from pancascade.reproduction.counted_cases import CountedCases, count_cases, found_beside_published
from pancascade.reproduction.measured import Measured
from pancascade.reproduction.plan import Choices, Plan, PlannedTraining, make_plan
from pancascade.reproduction.preflight import Preflight, first_line, preflight
from pancascade.reproduction.published_files import find_table, read_published
from pancascade.reproduction.published_tables import Paper
from pancascade.reproduction.reproduced_table import MadeRow, make_row, planned_tests, protocol_of
from pancascade.reproduction.row_recipe import DataPlace
from pancascade.reproduction.table_split import SPLIT, make_split
from pancascade.reproduction.table_text import ReproducedTable
from pancascade.reproduction.table_writing import require_place, write_tables
from pancascade.reproduction.training_run import RUN, Resources, epochs_done, finished, measure_given, run_training

logger = logging.getLogger(__name__)

BEGUN, CASES, TRAININGS = "reproduction.json", "cases.json", "trainings"


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        paper: Short name, or a YAML file of tables.
        table: Its number.
        place: Of the data.
        out: Folder of the table.
        choices: Scale, seed, epochs, rows, folds, masks.
        split: A split file of one's own; None draws the paper's design.
        trainings: Folder of the trainings, which several tables may share; None takes one in ``out``.
        resume: Go on with what ``out`` holds.
        device: ``cpu`` or ``cuda``.
        workers: Processes of counting, prediction and measurement.
    """

    paper: str
    table: str
    place: DataPlace
    out: Path
    choices: Choices
    split: Path | None = None
    trainings: Path | None = None
    resume: bool = False
    device: str = "cpu"
    workers: int = 1


@dataclass(frozen=True)
class Prepared:
    """A table that is planned, before anything long begins.

    Attributes:
        paper: Of the table.
        request: What was asked for.
        plan: Trainings of the rows that were asked for.
        whole: Trainings of all rows that can be made, some of which may be finished.
        notes: Of the split.
    """

    paper: Paper
    request: Request
    plan: Plan
    whole: Plan
    notes: tuple[str, ...]

    @property
    def trainings(self) -> Path:
        """Folder of the trainings."""
        return self.request.trainings or self.request.out / TRAININGS

    @property
    def protocol(self) -> Protocol:
        """By which the table counts."""
        return protocol_of(self.plan.table, PROTOCOLS)

    def left(self) -> list[PlannedTraining]:
        """Trainings that are not finished."""
        return [one for one in self.plan.trainings if finished(self.plan, one, self.trainings) is None]


def prepare(request: Request, *, counted: Callable[[int, int], None] | None = None) -> Prepared:
    """Read the data set's labels, split its patients, and plan.

    Args:
        request: What is asked for.
        counted: Called after each case that was counted.

    Raises:
        PancascadeError: Paper, table, data, split or row are unknown or cannot be used, or ``out`` holds another table.
    """
    paper = read_published(request.paper)
    table = find_table(paper, request.table)
    begun = request.out / BEGUN
    if begun.exists() and not request.resume:
        raise OutputError(f"{request.out.name}: holds a table already. Add --resume or choose another --out folder.")
    require_place(request.out, begun=BEGUN, split=SPLIT, given=request.split)
    cases = request.place.reading.cases(request.place.path)
    everything = count_cases(cases, kept_in=request.out / CASES, workers=request.workers, progress=counted)
    split = request.out / SPLIT
    notes = make_split(
        table, everything, seed=request.choices.seed, path=split, given=request.split, again=begun.exists()
    )
    _require_same(request, paper, everything, split)
    plan = make_plan(table, request.place, everything, split=split, choices=request.choices)
    whole = make_plan(table, request.place, everything, split=split, choices=replace(request.choices, rows=()))
    return Prepared(paper, request, plan, whole, notes)


def time_plan(prepared: Prepared, *, tell: Callable[[str], None] = lambda _: None) -> Preflight:
    """How long what is left will take; see `pancascade.reproduction.preflight`.

    Args:
        prepared: A plan.
        tell: Called with what is timed.
    """
    left = [(one, epochs_done(prepared.trainings / one.name / RUN)) for one in prepared.left()]
    return preflight(prepared.plan, left, device=prepared.request.device, tell=tell)


def reproduce(prepared: Prepared, resources: Resources) -> tuple[ReproducedTable, list[str]]:
    """Make the rows of a plan one after another; the table's files are written anew after each.

    A row that fails costs no other one.

    Args:
        prepared: A plan.
        resources: Device, processes, who is told.

    Returns:
        The table, and why rows could not be made, one sentence each.

    Raises:
        OutputError: A folder cannot be written, or is held by another run.
    """
    failures = [f"{name}: not made: {why}" for name, why in prepared.plan.faults.items()]
    done: dict[str, tuple[Measured, ...]] = {}
    table = tabulate(prepared, done, failures)
    for name in (*prepared.plan.masks, *prepared.plan.rows):
        try:
            done[name] = _make(prepared, name, resources)
        except OutputError:
            raise
        except (PancascadeError, ValueError, RuntimeError) as error:  # torch's, of images too small for a network
            failures.append(f"{name}: not made: {first_line(error)}")
            logger.warning("%s", failures[-1])
        table = tabulate(prepared, done, failures)
        write_tables(table, prepared.request.out)
    return table, failures


def tabulate(
    prepared: Prepared, done: dict[str, tuple[Measured, ...]], failures: Sequence[str] = ()
) -> ReproducedTable:
    """The table of what is finished.

    Args:
        prepared: A plan.
        done: Of rows made now.
        failures: Why others could not be made.
    """
    plan, protocol, table = prepared.plan, prepared.protocol, prepared.plan.table
    rows = [make_row(table, row, _finished_row(prepared, row.name, done), protocol=protocol) for row in table.rows]
    return ReproducedTable(
        prepared.paper,
        prepared.request.table,
        replace(plan, rows=prepared.whole.rows),
        protocol,
        tuple(rows),
        tuple(planned_tests(table, rows, protocol=protocol)),
        tuple(_counts(plan)),
        (*_notes(prepared, rows), *failures),
        version("pancascade"),
        prepared.request.device,
    )


def _make(prepared: Prepared, name: str, resources: Resources) -> tuple[Measured, ...]:
    if name in prepared.plan.masks:
        return measure_given(prepared.plan, name, protocol=prepared.protocol, workers=resources.workers)
    trainings = prepared.plan.rows[name]
    return tuple(run_training(prepared.plan, training, resources, protocol=prepared.protocol) for training in trainings)


def _finished_row(prepared: Prepared, name: str, done: dict[str, tuple[Measured, ...]]) -> tuple[Measured, ...]:
    """Numbers made now, or in an earlier run with other rows."""
    if name in done:
        return done[name]
    found = [finished(prepared.whole, one, prepared.trainings) for one in prepared.whole.rows.get(name, ())]
    return tuple(one for one in found if one is not None) if all(one is not None for one in found) else ()


def _counts(plan: Plan) -> list[dict[str, str]]:
    parts = [(fold.train, fold.test) for fold in plan.folds]
    return found_beside_published(plan.table.data, parts, everything=plan.everything)


def _notes(prepared: Prepared, rows: Sequence[MadeRow]) -> list[str]:
    plan, choices = prepared.plan, prepared.plan.choices
    notes = [f"Scale {choices.scale}: {plan.table.scales[choices.scale].says}."]
    if choices.epochs is not None:
        notes.append(f"Epochs of each training were set to {choices.epochs}.")
    if choices.folds:
        notes.append(f"Folds run: {', '.join(map(str, choices.folds))}.")
    if not plan.is_the_papers_data:
        notes.append(
            f"Data: {plan.everything.name} as {plan.place.reading.layout.value}, not {plan.table.data.name} as it is "
            "downloaded; ours and the published values are of other images."
        )
    failed = {case for row in rows for one in row.measured for case in one.failed}
    if failed:
        notes.append(f"{len(failed)} test cases could not be predicted by at least one row, and count nowhere in it.")
    return [*notes, *prepared.notes]


def _require_same(request: Request, paper: Paper, everything: CountedCases, split: Path) -> None:
    """Write down what a folder holds, or refuse to go on with something else."""
    wanted: dict[str, Any] = {
        "paper": paper.paper,
        "table": request.table,
        "scale": request.choices.scale,
        "seed": request.choices.seed,
        "epochs": request.choices.epochs,
        "data_set": everything.name,
        "split": content_digest(split),
    }
    path = request.out / BEGUN
    if not path.exists():
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        return
    try:
        found = dict(read_json(path))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{BEGUN}: damaged ({reason(error)}). Choose another --out folder.") from error
    other = next((key for key in wanted if found.get(key) != wanted[key]), None)
    if other is not None:
        raise OutputError(
            f"--resume: {request.out.name} was begun with {other} {found.get(other)}, now it is {wanted[other]}. "
            "Change it back, or choose another --out folder."
        )

"""Make a paper's table from a data set: plan, time, train, predict, measure, write; resumable at any point."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pancascade.errors import DataError, OutputError, PancascadeError
from pancascade.files.atomic import written_whole
from pancascade.files.digests import content_digest
from pancascade.files.documents import read_json, reason
from pancascade.files.made_folders import removed_on_failure
from pancascade.reproduction.counted_cases import CountedCases, count_cases, found_beside_published
from pancascade.reproduction.measured import Measured
from pancascade.reproduction.plan import Plan, make_plan
from pancascade.reproduction.preflight import Preflight, first_line, preflight
from pancascade.reproduction.published_files import find_table, read_published
from pancascade.reproduction.published_tables import Paper
from pancascade.reproduction.reproduced_table import MadeRow, make_row, planned_tests
from pancascade.reproduction.request import TRAININGS, Prepared, Request
from pancascade.reproduction.table_split import SPLIT, make_split
from pancascade.reproduction.table_text import ReproducedTable
from pancascade.reproduction.table_writing import FILES, require_place, write_tables
from pancascade.reproduction.training_run import RUN, Resources, epochs_done, finished, measure_given, run_training

logger = logging.getLogger(__name__)

BEGUN, CASES = "reproduction.json", "cases.json"


def prepare(request: Request, *, counted: Callable[[int, int], None] | None = None) -> Prepared:
    """Read the data set's labels, split its patients, and plan the table.

    If that fails, the files that it wrote are removed again.

    Args:
        request: The request.
        counted: Called after each counted case.

    Raises:
        PancascadeError: Paper, table, data, split or row are unknown or cannot be used, or ``out`` holds another table.
    """
    paper = read_published(request.paper)
    table = find_table(paper, request.table)
    begun = request.out / BEGUN
    # A folder that was only planned for has neither table nor training that another one would mix with.
    if begun.exists() and not request.resume and any((request.out / name).exists() for name in (*FILES, TRAININGS)):
        raise OutputError(
            f"{request.out.name}: holds a table already. Continue with --resume, or choose another --out folder."
        )
    require_place(request.out, begun=BEGUN, split=SPLIT, given=request.split)
    split, again = request.out / SPLIT, begun.exists() and request.resume
    with removed_on_failure(request.out / name for name in (CASES, SPLIT, BEGUN)):
        cases = request.place.reading.cases(request.place.path)
        everything = count_cases(cases, kept_in=request.out / CASES, workers=request.workers, progress=counted)
        notes = make_split(table, everything, seed=request.choices.seed, path=split, given=request.split, again=again)
        _require_same(request, paper, everything, split, again=again)
        plan = make_plan(table, request.place, everything, split=split, choices=request.choices)
        whole = make_plan(table, request.place, everything, split=split, choices=replace(request.choices, rows=()))
    return Prepared(paper, request, plan, whole, notes)


def time_plan(prepared: Prepared, *, reported: Callable[[str], None] = lambda _: None) -> Preflight:
    """Estimate how long the rest will take; see `pancascade.reproduction.preflight`.

    Args:
        prepared: A planned table.
        reported: Called with the name of what is timed.
    """
    left = [(one, epochs_done(prepared.trainings / one.name / RUN)) for one in prepared.left()]
    return preflight(prepared.plan, left, device=prepared.request.device, reported=reported)


def reproduce(prepared: Prepared, resources: Resources) -> tuple[ReproducedTable, list[str]]:
    """Make the rows of a plan one after another; the table's files are written again after each.

    If a row fails, the others are still made.

    Args:
        prepared: A planned table.
        resources: Device, processes, and callbacks.

    Returns:
        The table, and one sentence for each row that could not be made and each case that could not be predicted.

    Raises:
        OutputError: A folder cannot be written, or is locked by another run.
    """
    failures = [f"{name}: not made: {why}" for name, why in prepared.plan.faults.items()]
    done: dict[str, tuple[Measured, ...]] = {}
    table = tabulate(prepared, done, failures)
    for name in (*prepared.plan.masks, *prepared.plan.rows):
        try:
            done[name] = _make(prepared, name, resources)
        except OutputError:
            raise
        except (PancascadeError, ValueError, RuntimeError) as error:  # torch raises these for too small images
            failures.append(f"{name}: not made: {first_line(error)}")
            logger.warning("%s", failures[-1])
        table = tabulate(prepared, done, failures)
        write_tables(table, prepared.request.out)
    if not (prepared.plan.masks or prepared.plan.rows):  # no row could be planned
        write_tables(table, prepared.request.out)
    return table, [*failures, *_cases_without_numbers(table.rows)]


def tabulate(
    prepared: Prepared, done: dict[str, tuple[Measured, ...]], failures: Sequence[str] = ()
) -> ReproducedTable:
    """Return the table of all finished rows.

    Args:
        prepared: A planned table.
        done: Results of rows made now.
        failures: Why other rows could not be made.
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
    """Return the results of a row, from this run or an earlier one with other rows."""
    if name in done:
        return done[name]
    found = [finished(prepared.whole, one, prepared.trainings) for one in prepared.whole.rows.get(name, ())]
    return tuple(one for one in found if one is not None) if all(one is not None for one in found) else ()


def _counts(plan: Plan) -> list[dict[str, str]]:
    parts = [(fold.train, fold.test) for fold in plan.folds]
    return found_beside_published(plan.table.data, parts, everything=plan.everything)


def _cases_without_numbers(rows: Sequence[MadeRow]) -> list[str]:
    """Return one sentence for each case that could not be predicted by at least one row."""
    failed = {case: why for row in rows for one in row.measured for case, why in one.failed.items()}
    return [f"No numbers for {case}: {why}" for case, why in sorted(failed.items())]


def _notes(prepared: Prepared, rows: Sequence[MadeRow]) -> list[str]:
    plan, choices = prepared.plan, prepared.plan.choices
    notes = [f"Scale {choices.scale}: {plan.table.scales[choices.scale].says}."]
    if choices.epochs is not None:
        notes.append(f"Epochs of each training were set to {choices.epochs}.")
    if choices.folds:
        notes.append(f"Folds run: {', '.join(map(str, choices.folds))}.")
    if not plan.is_the_papers_data:
        notes.append(
            f"Data: {plan.everything.name} as {plan.place.reading.layout.value}, not {plan.table.data.name} as "
            "downloaded; our values and the published ones are of other images."
        )
    failed = _cases_without_numbers(rows)
    if failed:
        notes.append(f"{len(failed)} test cases could not be predicted by at least one row, which leaves them out.")
    return [*notes, *prepared.notes]


def _require_same(request: Request, paper: Paper, everything: CountedCases, split: Path, *, again: bool) -> None:
    """Record what a folder holds, or refuse to continue with something else."""
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
    if not again:
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
            f"--resume: {request.out.name} was begun with {other} {found.get(other)}, but now it is {wanted[other]}. "
            "Change it back, or choose another --out folder."
        )

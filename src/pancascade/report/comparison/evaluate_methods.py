"""Run a whole evaluation in one call: from folders of masks to numbers, tests, tables and a page."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from pancascade.errors import DataError, with_first_reason
from pancascade.evaluation import (
    Evaluation,
    Method,
    Protocol,
    SplitPart,
    compare,
    evaluate,
    summarise,
    summarise_detection,
    targets_with_voxels,
)
from pancascade.evaluation.data_set import evaluate_data_set, is_of_data_set, read_predicted_cases
from pancascade.evaluation.evaluate import Progress
from pancascade.evaluation.side_tables import read_patients
from pancascade.evaluation.writing import FILES
from pancascade.execution import Executor
from pancascade.files.replacing import require_replaceable
from pancascade.report.comparison.evaluated import Evaluated

PAGES = ("tables.md", "tables.tex", "report.html")
"""Names of the files written beside the numbers."""


class EvaluationChoices(TypedDict, total=False):
    """What else `evaluate_methods` takes by name; see there."""

    patients: Path | Mapping[str, str] | None
    part: SplitPart | None
    allow_training_cases: bool
    scans: Mapping[str, Path] | None
    workers: int
    executor: Executor | None
    progress: Progress | None


def evaluate_methods(
    methods: Sequence[Method],
    reference: Path,
    *,
    out: Path | None = None,
    protocol: Protocol | None = None,
    patients: Path | Mapping[str, str] | None = None,
    part: SplitPart | None = None,
    allow_training_cases: bool = False,
    scans: Mapping[str, Path] | None = None,
    figure: Path | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Evaluated:
    """Measure, summarise and compare methods; write the results if a folder is given, which is locked meanwhile.

    Args:
        methods: Predictions; two or more are compared.
        reference: Folder of label maps with the same names, a single file, or the data set that `predict` read.
        out: Folder for tables and report; finished cases are stored there, so that a second run does only the rest.
        protocol: What is compared and how; None takes the default.
        patients: Patient of each case, or a CSV file with the columns case and patient.
        part: Measure only the cases of this part of a split.
        allow_training_cases: Also measure cases of a method's known training data.
        scans: CT scan of each case, for the report's pictures.
        figure: File for a figure of the methods side by side.
        workers: Number of processes.
        executor: What runs the work; None takes processes of this machine.
        progress: Called after each case.

    Raises:
        DataError: No case could be compared; see `pancascade.evaluation.evaluate`.
        OutputError: A file cannot be written, or another run is writing there.
    """
    from pancascade.files.output_lock import lock_output
    from pancascade.report.comparison.method_figure import require_suffix

    if figure is not None:
        require_suffix(figure)
    what = "pancascade evaluate" if len(methods) == 1 else "pancascade compare"
    kept = [method if out is None else _with_records(method, out, alone=len(methods) == 1) for method in methods]
    how: dict[str, Any] = {
        "part": part,
        "allow_training_cases": allow_training_cases,
        "workers": workers,
        "executor": executor,
    }
    with nullcontext() if out is None else lock_output(out, what=what):
        if out is not None:
            read = [patients if isinstance(patients, Path) else None, *(method.predictions for method in methods)]
            require_replaceable(out, [*FILES, *PAGES], seals=FILES[-1:], read=[*read, reference])
        run = _evaluate_predicted if _are_of_data_set(methods, reference) else _evaluate_masks
        evaluations = run(kept, reference, protocol=protocol or Protocol(), patients=patients, progress=progress, **how)
        for evaluation in evaluations:
            if not evaluation.cases:
                sentence = f"{evaluation.method}: no case could be compared."
                raise DataError(with_first_reason(sentence, evaluation.failures[0].message))
        found = summarise_all(evaluations)
        if out is not None:
            found.write(out, scans=scans)
        if figure is not None:
            found.write_figure(figure, scans=scans)
    return found


def summarise_all(evaluations: Sequence[Evaluation]) -> Evaluated:
    """Compute all numbers of evaluations under one protocol.

    Args:
        evaluations: Evaluations of one method or several over the same cases.
    """
    protocol = evaluations[0].protocol
    targets = targets_with_voxels([case for each in evaluations for case in each.cases])
    return Evaluated(
        tuple(evaluations),
        tuple(summarise(each.cases, protocol, targets=targets) for each in evaluations),
        tuple(summarise_detection(each.cases, protocol) for each in evaluations),
        compare(evaluations, targets=targets) if len(evaluations) > 1 else None,
    )


def _with_records(method: Method, out: Path, *, alone: bool) -> Method:
    return replace(method, records=method.records or (out / "cases" if alone else out / "cases" / method.name))


def _evaluate_masks(
    methods: Sequence[Method],
    reference: Path,
    *,
    patients: Path | Mapping[str, str] | None,
    **how: Any,
) -> list[Evaluation]:
    reported = read_patients(patients) if isinstance(patients, Path) else patients
    return evaluate(methods, reference, patients=reported, **how)


def _evaluate_predicted(
    methods: Sequence[Method],
    reference: Path,
    *,
    patients: Path | Mapping[str, str] | None,
    **how: Any,
) -> list[Evaluation]:
    """Evaluate what `predict` wrote against the data set that it read.

    Raises:
        DataError: An option is given that only label maps have.
    """
    given = {"--patients": patients, "--confidence": methods[0].confidence, "--scores": methods[0].scores}
    for option, value in given.items():
        if value:
            raise DataError(f"{option}: {reference.name} is a data set. Give a folder of label maps, or leave it out.")
    return [
        evaluate_data_set(
            method.predictions, read_predicted_cases(method.predictions, reference), method=method.name, **how
        )
        for method in methods
    ]


def _are_of_data_set(methods: Sequence[Method], reference: Path) -> bool:
    """Return whether `predict` wrote all methods' masks from the data set that is the reference.

    Raises:
        DataError: Only some were; or single slices are compared with a folder of label maps.
    """
    found = [is_of_data_set(method.predictions, reference) for method in methods]
    if any(found) and not all(found):
        other = methods[found.index(False)].predictions.name
        raise DataError(f"{other}: not predicted from {reference.name}, as others were. Compare by folders of masks.")
    return all(found)

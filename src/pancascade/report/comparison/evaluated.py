"""From folders of masks to numbers, tests, tables and a page: the whole of an evaluation in one call."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pancascade.errors import DataError, with_first_reason
from pancascade.evaluation import (
    Comparison,
    DetectionSummary,
    Evaluation,
    Method,
    Protocol,
    SplitPart,
    Summary,
    compare,
    evaluate,
    metrics_of,
    summarise,
    summarise_detection,
    targets_with_voxels,
)
from pancascade.evaluation.data_set import evaluate_data_set, is_of_data_set, read_predicted_cases
from pancascade.evaluation.evaluate import Progress
from pancascade.evaluation.pairing import Failure
from pancascade.evaluation.side_tables import read_patients
from pancascade.evaluation.tables import interval_cell
from pancascade.evaluation.writing import FILES
from pancascade.execution import Executor
from pancascade.files.replacing import require_replaceable

PAGES = ("tables.md", "tables.tex", "report.html")
"""What is written beside the numbers."""


@dataclass(frozen=True, repr=False)
class Evaluated:
    """One method or several over the same cases, with everything that is computed of them.

    Attributes:
        evaluations: Records of the cases, by method.
        summaries: Numbers of each method: by target, aggregation and metric, with intervals.
        detections: Lesions of each method; None where there are none to find.
        comparison: Tests and ranks; None for a single method.
    """

    evaluations: tuple[Evaluation, ...]
    summaries: tuple[Summary, ...]
    detections: tuple[DetectionSummary | None, ...]
    comparison: Comparison | None = None

    @property
    def protocol(self) -> Protocol:
        """How all were measured."""
        return self.evaluations[0].protocol

    @property
    def failures(self) -> list[tuple[str, Failure]]:
        """Method and case of those without numbers."""
        return [(evaluation.method, failure) for evaluation in self.evaluations for failure in evaluation.failures]

    def __repr__(self) -> str:
        """The headline's numbers, a line of each method and target."""
        metric = next(iter(metrics_of(self.protocol).values()))
        lines = [
            f"{evaluation.method}, {target}: {metric.title} "
            f"{interval_cell(metric, aggregations[self.protocol.headline].get(metric.key))}, "
            f"{len(evaluation.cases)} cases"
            for evaluation, summary in zip(self.evaluations, self.summaries, strict=True)
            for target, aggregations in summary.items()
        ]
        left = f"\n{len(self.failures)} cases without numbers" if self.failures else ""
        return "\n".join(lines) + left

    def write(self, out: Path, *, scans: Mapping[str, Path] | None = None) -> None:
        """Write tables of numbers, tables for papers, and ``report.html``.

        Args:
            out: Folder; made if it is missing.
            scans: CT scan of each case, for the pictures.

        Raises:
            OutputError: The folder cannot be written.
        """
        from pancascade.evaluation import write_results
        from pancascade.evaluation.tables import write_paper_tables
        from pancascade.files.file_names import match_names
        from pancascade.report.comparison.comparison_page import write_comparison

        cases = {case.case for evaluation in self.evaluations for case in evaluation.cases}
        found: dict[str, Any] = {"summaries": self.summaries, "detections": self.detections}
        write_results(self.evaluations, out, comparison=self.comparison, **found)
        write_paper_tables(self.evaluations, self.summaries, out, comparison=self.comparison)
        pictures = match_names(sorted(cases), dict(scans or {}))
        page = out / "report.html"
        write_comparison(page, self.evaluations, comparison=self.comparison, scans=pictures, **found)

    def write_figure(self, path: Path, *, scans: Mapping[str, Path] | None = None) -> None:
        """Write the methods side by side on the same slices, as papers draw them.

        Args:
            path: .png, .pdf or .svg.
            scans: CT scan of each case.

        Raises:
            DataError: There is one method only.
            OutputError: The path cannot be written.
        """
        from pancascade.report.comparison.method_figure import write_method_figure

        if self.comparison is None:
            raise DataError("A figure of methods side by side needs two or more.")
        target = list(self.summaries[0])[-1]
        write_method_figure(path, self.evaluations, self.comparison, target=target, scans=dict(scans or {}))


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
    """Measure, summarise, compare, and write, if a folder is given; that is held from the first case on.

    Args:
        methods: Predictions; two or more are compared.
        reference: Folder of label maps with the same names, one file, or the data set that `predict` read.
        out: Folder for tables and report; finished cases are kept there, so that a second run does the rest.
        protocol: What is compared and how; None takes the default one.
        patients: Patient of each case, or a CSV with the columns case and patient.
        part: Measure only the cases of this part of a split.
        allow_training_cases: Also measure cases that a method is known to have been trained on.
        scans: CT scan of each case, for the report's pictures.
        figure: Also a figure of the methods side by side.
        workers: Processes.
        executor: Where the work is done; None takes processes of this machine.
        progress: Called after each case.

    Raises:
        DataError: Nothing could be compared; see `pancascade.evaluation.evaluate`.
        OutputError: A file cannot be written, or another run writes there.
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
    """All numbers of evaluations under one protocol.

    Args:
        evaluations: Of one method or several over the same cases.
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
    """What `predict` wrote, against the data set that it was predicted from.

    Raises:
        DataError: An option is for label maps alone.
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
    """Whether all methods' masks were written by `predict`, from the data set that is the reference.

    Raises:
        DataError: Some were, and others were not; or single slices are compared with a folder of label maps.
    """
    found = [is_of_data_set(method.predictions, reference) for method in methods]
    if any(found) and not all(found):
        other = methods[found.index(False)].predictions.name
        raise DataError(f"{other}: not predicted from {reference.name}, as others were. Compare by folders of masks.")
    return all(found)

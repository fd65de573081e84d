"""An evaluation with everything that is computed of it: numbers, tests, and how they are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pancascade.errors import DataError
from pancascade.evaluation import (
    Comparison,
    DetectionSummary,
    Evaluation,
    Protocol,
    Summary,
    metrics_of,
)
from pancascade.evaluation.pairing import Failure
from pancascade.evaluation.tables import interval_cell
from pancascade.messages.counts import counted


@dataclass(frozen=True, repr=False)
class Evaluated:
    """All results of one method or several over the same cases.

    Attributes:
        evaluations: Records of the cases, one evaluation for each method.
        summaries: Numbers of each method with intervals, by target, aggregation and metric.
        detections: Lesion detection of each method; None where there are no lesions.
        comparison: Tests and ranks; None for a single method.
    """

    evaluations: tuple[Evaluation, ...]
    summaries: tuple[Summary, ...]
    detections: tuple[DetectionSummary | None, ...]
    comparison: Comparison | None = None

    @property
    def protocol(self) -> Protocol:
        """Protocol of the evaluation."""
        return self.evaluations[0].protocol

    @property
    def failures(self) -> list[tuple[str, Failure]]:
        """Method and case of the cases without numbers."""
        return [(evaluation.method, failure) for evaluation in self.evaluations for failure in evaluation.failures]

    def __repr__(self) -> str:
        """Return the headline's numbers, one line for each method and target."""
        metric = next(iter(metrics_of(self.protocol).values()))
        lines = [
            f"{evaluation.method}, {target}: {metric.title} "
            f"{interval_cell(metric, aggregations[self.protocol.headline].get(metric.key))}, "
            f"{counted(len(evaluation.cases), 'case')}"
            for evaluation, summary in zip(self.evaluations, self.summaries, strict=True)
            for target, aggregations in summary.items()
        ]
        left = f"\n{counted(len(self.failures), 'case')} without numbers" if self.failures else ""
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
        """Write a figure of the methods side by side on the same slices, as in papers.

        Args:
            path: .png, .pdf or .svg.
            scans: CT scan of each case.

        Raises:
            DataError: There is only one method.
            OutputError: The path cannot be written.
        """
        from pancascade.report.comparison.method_figure import write_method_figure

        if self.comparison is None:
            raise DataError("A figure of methods side by side needs two or more methods.")
        target = list(self.summaries[0])[-1]
        write_method_figure(path, self.evaluations, self.comparison, target=target, scans=dict(scans or {}))

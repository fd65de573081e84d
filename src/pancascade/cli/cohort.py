"""``pancascade cohort``: show many results on one page to sort and filter, and write a table."""

from pathlib import Path
from typing import Annotated

import typer

from pancascade.cli.exit_codes import INCOMPLETE
from pancascade.errors import DataError, with_first_reason
from pancascade.messages.counts import counted


def cohort(
    results: Annotated[
        list[Path],
        typer.Argument(help="Folders of results, or folders that hold many.", metavar="RESULTS...", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="HTML page to write.")] = Path("cohort.html"),
    table: Annotated[Path | None, typer.Option("--csv", help="Also write the numbers as CSV.")] = None,
) -> None:
    """Put many results on one page: counts, histograms, a table to sort and filter, warnings.

    Exit code 0: all were read; 1: a scan was refused or unreadable and is listed; 2: there is nothing to show.
    """
    from pancascade.cli.out_folder import require_other_files
    from pancascade.cli.progress import shown_progress
    from pancascade.report.scan.cohort import FILES_OF_RESULTS, read_cohort
    from pancascade.report.scan.cohort_page import has_reports_elsewhere, write_cohort
    from pancascade.report.scan.cohort_table import write_cohort_csv

    with shown_progress("read") as show:
        found = read_cohort(results, progress=show)
    if not found.rows:
        raise DataError(with_first_reason("No result could be read.", found.unreadable[0].reason))
    results_files = [row.folder / name for row in found.rows for name in FILES_OF_RESULTS]
    require_other_files({"--out": out, "--csv": table}, read=results_files)
    write_cohort(out, found)
    if table is not None:
        write_cohort_csv(table, found)
    lesions = sum(row.lesions > 0 for row in found.rows)
    warned = sum(bool(row.warnings) for row in found.rows)
    typer.echo(f"{counted(len(found.rows), 'scan')}, {lesions} with lesions, {warned} with warnings: {out}")
    if has_reports_elsewhere(found, out):
        typer.echo("Reports outside the page's folder are not linked.", err=True)
    for entry in found.unreadable:
        typer.echo(f"Left out: {entry.reason}", err=True)
    if found.unreadable:
        raise typer.Exit(INCOMPLETE)

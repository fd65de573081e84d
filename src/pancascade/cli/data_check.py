"""``pancascade data check``: check data sets; a table, issues worst first, a page with thumbnails."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pancascade.cli import data_options as options
from pancascade.cli import executor_options
from pancascade.cli.held_folder import held
from pancascade.messages.counts import counted

if TYPE_CHECKING:
    from rich.console import Console

    from pancascade.data.checking.check import DataCheck

NOT_SOUND = 1
"""Exit code if a data set has errors."""

MOST_ROWS = 60
PAGE = "check.html"
STYLES = {"error": "red", "warning": "yellow", "note": "dim"}


def check(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of data sets, or CSV lists of image,label,patient.", metavar="DIR...")
    ],
    layout: options.LayoutName = None,
    picture_window: options.PictureWindow = None,
    flip_rows: options.FlipRows = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for check.html, check.json, cases.csv, findings.csv; a second run resumes from it."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
    workers: options.Workers = 0,
    engine: executor_options.Where = executor_options.ExecutorKind.PROCESSES,
    address: executor_options.Address = None,
) -> None:
    """Check data sets: files, grids, labels, flips, lesions, duplicate patients.

    Exit code 0: no errors (with --strict: no warnings either); 1: there are some; 2: nothing could be checked.
    """
    from pancascade.cli.evaluation_options import wide_console
    from pancascade.data.checking.issues import Severity

    chosen, pictures = options.choose_reading(layout, picture_window=picture_window, flip_rows=flip_rows)
    options.require_pictures(folders, layout=layout, picture_window=picture_window, flip_rows=flip_rows)
    cluster = executor_options.choose_cluster(engine, workers=workers, address=address)
    records = None if out is None else out / "records"
    from pancascade.cli.progress import shown_progress
    from pancascade.data.checking.check import check as check_data
    from pancascade.data.checking.check_tables import FILES
    from pancascade.execution.parallel import available_cores
    from pancascade.files.replacing import require_replaceable

    console = wide_console()
    with held(out, what="data check"):
        if out is not None:
            require_replaceable(out, [*FILES, PAGE], seals=FILES[:1], read=folders)
        with shown_progress("check") as show:
            found = check_data(
                folders,
                layout=chosen,
                pictures=pictures,
                records=records,
                workers=workers or available_cores(),
                executor=cluster,
                progress=show,
            )
        _print_cases(found, console)
        _print_issues(found, console)
        if out is not None:
            _write(found, out, console)
    if found.worst is Severity.ERROR or (strict and found.worst is Severity.WARNING):
        raise typer.Exit(NOT_SOUND)


def _print_cases(found: "DataCheck", console: "Console") -> None:
    """Print all cases of a small set, or the cases with issues of a large one."""
    from rich.table import Table

    from pancascade.data.checking.check_tables import size_text, spacing_text

    rows = [(statistics, found.of_case(statistics)) for statistics in found.statistics]
    shown = [row for row in rows if row[1]] if len(rows) > MOST_ROWS else rows
    patients = len({(statistics.source, statistics.patient) for statistics in found.statistics})
    title = f"{counted(len(rows), 'case')} of {counted(patients, 'patient')}"
    if len(shown) < len(rows):
        title += "; those with issues"
    table = Table(title=title, title_justify="left")
    for name in ("case", "patient", "size", "spacing [mm]"):
        table.add_column(name)
    for name in ("pancreas [mL]", "tumour [mL]"):
        table.add_column(name, justify="right")
    table.add_column("issues")
    for statistics, issues in shown[:MOST_ROWS]:
        volumes = (
            [None, None] if statistics.label is None else [statistics.label.pancreas_ml, statistics.label.tumour_ml]
        )
        spelled = ["–" if value is None else f"{value:.1f}" for value in volumes]
        kinds = ", ".join(dict.fromkeys(issue.kind for issue in issues))
        style = STYLES[issues[0].severity] if issues else None
        table.add_row(
            statistics.name,
            statistics.patient,
            size_text(statistics),
            spacing_text(statistics),
            *spelled,
            kinds,
            style=style,
        )
    if shown:
        console.print(table)
    if len(shown) > MOST_ROWS:
        console.print(f"... and {len(shown) - MOST_ROWS} more; --out writes all of them.", style="dim")


def _print_issues(found: "DataCheck", console: "Console") -> None:
    from pancascade.data.checking.issues import Severity

    for severity in Severity:
        lines = [issue for issue in found.issues if issue.severity is severity]
        if lines:
            console.print(counted(len(lines), severity), style=f"bold {STYLES[severity]}")
        for issue in lines:
            place = "" if issue.case is None else f" {issue.case}:"
            line = f"  {issue.kind}:{place} {issue.message}"
            console.print(line, style=STYLES[severity], soft_wrap=True, highlight=False)
    if not any(issue.severity is not Severity.NOTE for issue in found.issues):
        console.print("No errors and no warnings.", style="green")


def _write(found: "DataCheck", out: Path, console: "Console") -> None:
    from pancascade.data.checking.check_tables import FILES, write_check
    from pancascade.files.atomic import written_together
    from pancascade.report.data_sets.check_page import write_data_check

    with written_together(out, names=(*FILES[1:], PAGE, FILES[0])) as draft:
        write_check(found, draft)
        write_data_check(draft / PAGE, found)
    console.print(f"{', '.join((PAGE, *FILES))}: {out}", soft_wrap=True, highlight=False)

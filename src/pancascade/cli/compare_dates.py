"""``pancascade compare-dates``: compare two results of one patient."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from pancascade.imaging.volume import Volume
    from pancascade.report.follow_up.follow_up import FollowUp
    from pancascade.report.follow_up.follow_up_pictures import PicturePair
    from pancascade.results.result import Result


def compare_dates(
    earlier: Annotated[Path, typer.Argument(help="Folder of the earlier scan's result.", metavar="A")],
    later: Annotated[Path, typer.Argument(help="Folder of the later scan's result.", metavar="B")],
    out: Annotated[Path | None, typer.Option(help="HTML page to write, such as follow_up.html.")] = None,
    table: Annotated[Path | None, typer.Option("--json", help="JSON file to write.")] = None,
) -> None:
    """Compare two dates of one patient: change in volumes and diameters, new lesions and lesions that are gone.

    Research use only: the category by RECIST's thresholds is arithmetic on masks, not a response assessment.
    """
    from pancascade.cli.evaluation_options import wide_console
    from pancascade.cli.out_folder import require_other_files
    from pancascade.report.follow_up.follow_up import compare_dates as compare
    from pancascade.report.follow_up.follow_up_page import write_follow_up, write_follow_up_json
    from pancascade.results.result import NAME, read_result
    from pancascade.results.result_files import require_whole

    read = [folder / name for folder in (earlier, later) for name in (NAME, "report.html")]
    require_other_files({"--out": out, "--json": table}, read=[earlier, later, *read])
    results = [read_result(path) for path in (earlier, later)]
    for path, result in zip((earlier, later), results, strict=True):
        require_whole(path if path.is_dir() else path.parent, result)
    found = compare(*results)
    if out is not None:
        write_follow_up(out, found, pictures=_pictures((earlier, later), results, found))
    if table is not None:
        write_follow_up_json(table, found)
    console = wide_console()
    _print(found, console)
    for written in (out, table):
        if written is not None:
            console.print(f"Written: {written}", soft_wrap=True, highlight=False)


def _pictures(folders: "Sequence[Path]", results: "Sequence[Result]", found: "FollowUp") -> "list[PicturePair]":
    from pancascade.report.follow_up.follow_up_pictures import pair_pictures

    places = [path if path.is_dir() else path.parent for path in folders]
    dates = [_scan_and_mask(place, result) for place, result in zip(places, results, strict=True)]
    return pair_pictures(found, results, dates, [place / "overview.png" for place in places])


def _scan_and_mask(folder: Path, result: "Result") -> "tuple[Volume, Volume] | None":
    """Read scan and mask; None where the scan has moved, or the mask was not written as NIfTI."""
    from pancascade.errors import ScanError
    from pancascade.imaging.io import read_label_map
    from pancascade.segmentation.saving import MASKS
    from pancascade.segmentation.thresholding import find_scan

    try:
        mask = read_label_map(folder / MASKS["nifti"])
        return find_scan(result, folder.absolute()), mask
    except ScanError:
        return None


def _print(found: "FollowUp", console: "Console") -> None:
    from pancascade.report.follow_up.follow_up_page import CATEGORIES, WAYS

    for notice in found.notices:
        style = "yellow" if notice.severity == "warning" else "dim"
        console.print(f"{notice.code}: {notice.sentence}", style=style, soft_wrap=True, highlight=False)
    for which, sentences in zip(("Earlier", "Later"), found.warnings, strict=True):
        for sentence in sentences:
            console.print(f"{which} scan: {sentence}", style="yellow", soft_wrap=True, highlight=False)
    console.print(_table_of_scans(found))
    if found.lesions:
        console.print(_table_of_lesions(found))
        console.print(f"Lesions were paired {WAYS[found.matched_by]}.", style="dim", soft_wrap=True, highlight=False)
    words = f"By RECIST 1.1's thresholds, the sum of target lesions shows: {CATEGORIES[found.category]}."
    console.print(words, soft_wrap=True, highlight=False)
    if any(lesion.fate == "new" for lesion in found.lesions):
        console.print(
            "A lesion is new. By RECIST 1.1 that is progression whatever the sum, if the lesion is real.",
            soft_wrap=True,
        )
    console.print(found.use, style="bold", highlight=False)


def _table_of_scans(found: "FollowUp") -> "Table":
    from rich.table import Table

    from pancascade.report.follow_up.follow_up_page import quantities, spell_change, spell_percent
    from pancascade.report.page_environment import spell_number

    table = Table(title=f"{found.scans[0]} → {found.scans[1]}", title_justify="left")
    table.add_column("what")
    for name in ("earlier", "later", "change", "change [%]"):
        table.add_column(name, justify="right")
    for name, unit, change in quantities(found):
        numbers = (spell_number(change.earlier), spell_number(change.later), spell_change(change))
        table.add_row(f"{name} ({unit})", *numbers, spell_percent(change))
    return table


def _table_of_lesions(found: "FollowUp") -> "Table":
    from rich.table import Table

    from pancascade.report.follow_up.follow_up_page import spell_part, spell_percent, spell_sizes

    table = Table(title="Lesions", title_justify="left")
    for name in ("lesion", "fate", "part"):
        table.add_column(name)
    for name in ("earlier (mm)", "later (mm)", "long, change", "volume, change"):
        table.add_column(name, justify="right")
    for lesion in found.lesions:
        numbers = [str(number) for number in (lesion.earlier_number, lesion.later_number) if number is not None]
        before = spell_sizes(lesion.long_mm.earlier, lesion.short_mm.earlier, marked=lesion.fate != "new")
        after = spell_sizes(lesion.long_mm.later, lesion.short_mm.later, marked=lesion.fate != "gone")
        fate = lesion.fate + (", target" if lesion.target else "")
        changes = (spell_percent(lesion.long_mm), spell_percent(lesion.volume_ml))
        table.add_row(" → ".join(numbers), fate, spell_part(lesion), before, after, *changes)
    return table

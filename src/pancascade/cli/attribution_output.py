"""Output of ``pancascade attribute``: tables on the screen, and ``attribution.json``."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pancascade.cli.evaluation_options import spell
from pancascade.messages.counts import counted

if TYPE_CHECKING:
    from rich.console import Console

    from pancascade.evaluation import Attribution

TITLES = {
    "dice": "Dice end to end",
    "true_box_dice": "Dice with stage 2 in the true box (bound)",
    "box_recall": "box recall",
    "box_iou": "box IoU",
    "lost_share": "share of the target lost to the crop",
    "first_stage_share": "share of the error from stage 1",
    "second_stage_share": "share of the error from stage 2",
}


def print_stages(found: "dict[str, list[Attribution]]", *, console: "Console", model: str) -> "dict[str, Any]":
    """Print a table for each target; return what is written about them."""
    from rich.table import Table

    from pancascade.evaluation import summarise_attribution

    reported = {}
    for target, rows in found.items():
        summary = summarise_attribution(rows)
        table = Table(
            f"{model}: {target}",
            f"{counted(summary.cases, 'case')}, {summary.missed} missed by stage 1",
        )
        for key, title in TITLES.items():
            table.add_row(title, spell(getattr(summary, key)))
        console.print(table)
        reported[target] = {"summary": asdict(summary), "cases": [asdict(row) for row in rows]}
    return reported


def write_attribution(result: "dict[str, Any]", out: Path, *, console: "Console") -> None:
    """Write ``attribution.json`` and print its place.

    Raises:
        OutputError: The folder cannot be written.
    """
    from pancascade.evaluation.writing import plain
    from pancascade.files.atomic import written_whole

    with written_whole(out / "attribution.json") as temporary:
        temporary.write_text(json.dumps(plain(result), indent=1) + "\n")
    console.print(f"Numbers: {out / 'attribution.json'}", soft_wrap=True, highlight=False)

"""Summary that the segmenting verbs print at the end."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from pancascade.segmentation import Segmentation


def print_result(found: "Segmentation", out: Path | None) -> None:
    """Print what was found, and where the results are; None if they are not on this machine."""
    import rich.console

    from pancascade.results.measurements import label_sizes

    console = rich.console.Console(markup=False)
    for title, size in label_sizes(found.mask).items():
        console.print(f"{title.replace('_', ' '):22}{size['volume_ml']:9.1f} mL {size['voxels']:10d} voxels")
    for warning in found.warnings:
        console.print(f"Warning: {warning}", style="yellow", highlight=False, soft_wrap=True)
    if out is not None:
        _print_places(console, out)
    console.print("Research use only. Not for clinical use.", style="dim")


def _print_places(console: "Console", out: Path) -> None:
    from pancascade.segmentation.saving import MASKS, REPORTS

    masks = [out / name for name in MASKS.values() if (out / name).exists()]
    for what, path in (
        *(("Mask", mask) for mask in masks),
        *(("Measurements", out / name) for name in REPORTS.values() if (out / name).exists()),
        ("Structures", out / "structures"),
        ("Statistics", out / "statistics.csv"),
        ("Pictures", out / "overview.png"),
        ("Report", out / "report.html"),
        ("Numbers", out / "result.json"),
    ):
        if path.exists():
            console.print(f"{what}: {path}", soft_wrap=True, highlight=False)

"""``pancascade attribute --source``: errors by stage, and the accuracy of stage 1, by the papers' pass."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pancascade.cli.attribution_output import print_stages, write_attribution
from pancascade.cli.evaluation_options import wide_console
from pancascade.files.given_paths import real_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from pancascade.data.readers import Case
    from pancascade.evaluation.localization import LocalizationRow
    from pancascade.evaluation.prediction_set import PredictionSource


def attribute_data_set(
    model: Path, cases: "Sequence[Case]", *, source: "PredictionSource", out: Path | None, device: str
) -> None:
    """Print and write the attribution and the localization table of some cases of a data set.

    Args:
        model: Folder of a training run, or a checkpoint.
        cases: Cases of the data set.
        source: Origin of the cases, for ``attribution.json``.
        out: Folder for that file.
        device: Where the networks run, ``cpu`` or ``cuda``.

    Raises:
        PancascadeError: The weights or a case cannot be used.
    """
    from pancascade.cli.progress import shown_progress
    from pancascade.inference.prediction.stage_errors import localization_and_attribution_rows

    console = wide_console()
    with shown_progress("locate and segment", total=len(cases)) as show:
        located, lost = localization_and_attribution_rows(model, cases, device=device, on_done=show)
    name = real_path(model).name
    targets = print_stages(lost, console=console, model=name)
    localization = _print_localization(located, console=console, title=f"{name}: stage 1")
    if out is not None:
        protocol = "the papers' pass; intervals: 95 % bootstrap over patients, 10000 resamples, seed 0"
        about = {"model": name, "protocol": protocol, "source": source.model_dump(mode="json")}
        result = {**about, "targets": targets, "localization": localization, "failures": []}
        write_attribution(result, out, console=console)


def _print_localization(rows: "list[LocalizationRow]", *, console: "Console", title: str) -> dict[str, Any]:
    """Print mean ± sd, interval and extremes as in the papers; return what is written."""
    from rich.table import Table

    from pancascade.evaluation.localization import box_iou_table

    statistics = box_iou_table(rows)
    table = Table(title, "mean ± sd [95 % interval]", "max", "min", "slices or volumes")
    for name, one in statistics.items():
        spread = "" if one.sd is None else f" ± {one.sd:.4f} [{one.low:.4f}, {one.high:.4f}]"
        extremes = ("–" if value is None else f"{value:.4f}" for value in (one.maximum, one.minimum))
        table.add_row(name, f"{one.mean:.4f}{spread}", *extremes, f"{one.count}")
    console.print(table)
    cases = [
        {
            "case": row.case,
            "patient": row.patient,
            "boxes": {name: overlap._asdict() for name, overlap in row.boxes.items()},
            "dice": dict(row.dice),
        }
        for row in rows
    ]
    return {"statistics": {name: asdict(one) for name, one in statistics.items()}, "cases": cases}

"""``pancascade threshold``: apply other thresholds to a result, without running a network."""

from itertools import chain, count
from pathlib import Path
from typing import Annotated

import typer

from pancascade.cli.out_folder import locked_output
from pancascade.cli.printed_result import print_result
from pancascade.errors import OutputError, UnreadableError
from pancascade.execution.interrupts import interrupt_held_back
from pancascade.files.given_paths import real_path


def threshold(
    result: Annotated[Path, typer.Argument(help="Folder of `pancascade segment --save-probabilities`.")],
    tumour: Annotated[float | None, typer.Option(help="Least probability of tumour, between 0 and 1.")] = None,
    organ: Annotated[
        float | None, typer.Option(help="Least probability of pancreas and tumour together, between 0 and 1.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the new result. [beside RESULT, named by the thresholds]")
    ] = None,
    scan: Annotated[Path | None, typer.Option(help="Path of the scan, if it was moved.")] = None,
    vessels: Annotated[
        list[str] | None, typer.Option(help="As for `pancascade segment`; vessels are not stored with a result.")
    ] = None,
) -> None:
    """Apply other thresholds to a result; write mask, pictures, report and numbers beside it."""
    _require_probabilities(tumour=tumour, organ=organ)
    from pancascade.cli.segment import read_masks, require_place, require_source

    with interrupt_held_back():
        from pancascade.segmentation.thresholding import (
            formats_in,
            identified,
            load_segmentation,
            vessels_in,
            with_thresholds,
        )
    from pancascade.imaging.io.vessel_masks import require_grid

    folder = out or _beside(result, tumour=tumour, organ=organ)
    with locked_output(folder, what="threshold"):
        found = load_segmentation(result, scan=scan)
        place, formats = Path(found.scan.name), formats_in(result)
        require_place(folder, place)
        require_source(place, formats, series=found.series)
        masks = read_masks(vessels or [])
        require_grid(masks, scan=found.scan)
        given = {"organ": organ} if organ is not None else {}
        if tumour is not None:
            given |= {"tumour": tumour, "tumour_marked": True}
        again = with_thresholds(found, found.thresholds.model_copy(update=given))
        forgotten = sorted(vessels_in(result) - masks.keys())
        again.save(folder, formats=formats, save_probabilities=True, vessels=masks, keep_identifiers=identified(result))
    if forgotten:
        typer.echo(f"Not measured again: {', '.join(forgotten)}. Give the masks with --vessels.", err=True)
    print_result(again, folder)


def _require_probabilities(**thresholds: float | None) -> None:
    """Pass only if there is a threshold, and every one is a probability.

    Raises:
        OutputError: There is none, or one is no probability.
    """
    for name, value in thresholds.items():
        if value is not None and not 0 < value < 1:
            raise OutputError(f"--{name} {value:g}: a probability lies between 0 and 1, such as 0.3.")
    if all(value is None for value in thresholds.values()):
        raise OutputError("Give --tumour or --organ, or both: the new least probability, such as 0.3.")


def _beside(result: Path, **thresholds: float | None) -> Path:
    """Return a new folder beside a result, so that nothing is overwritten: a mask may have been edited."""
    if not result.is_dir():
        raise UnreadableError(f"{result}: there is no such folder. Give the folder of a result.", code="no_such_file")
    whole = real_path(result)
    given = "".join(f"_{name}{value:g}" for name, value in thresholds.items() if value is not None)
    names = (f"{whole.name}{given}{number}" for number in chain([""], (f"_{n}" for n in count(2))))
    return next(whole.parent / name for name in names if not (whole.parent / name).exists())

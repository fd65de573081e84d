"""``pancascade threshold``: another threshold for a result, without any network."""

from pathlib import Path
from typing import Annotated

import typer

from pancascade.errors import OutputError


def threshold(
    result: Annotated[Path, typer.Argument(help="Folder of `pancascade segment --save-probabilities`.")],
    tumour: Annotated[float | None, typer.Option(help="Least probability of tumour, between 0 and 1.")] = None,
    organ: Annotated[
        float | None, typer.Option(help="Least probability of pancreas and tumour together, between 0 and 1.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Another folder for the new result. [RESULT itself]")] = None,
    scan: Annotated[Path | None, typer.Option(help="Where the scan is now, if it was moved.")] = None,
) -> None:
    """Decide the mask of a result anew by other thresholds; write mask, pictures, report and numbers again."""
    for name, value in (("--tumour", tumour), ("--organ", organ)):
        if value is not None and not 0 < value < 1:
            raise OutputError(f"{name} {value:g}: a probability lies between 0 and 1, such as 0.3.")
    if tumour is None and organ is None:
        raise OutputError("Give --tumour or --organ, or both: the new least probability, such as 0.3.")
    from pancascade.cli.segment import tell
    from pancascade.inference.thresholding import formats_in, identified, load_segmentation, with_thresholds
    from pancascade.location import Thresholds

    found = load_segmentation(result, scan=scan)
    old = found.thresholds
    new = Thresholds(organ=organ or old.organ, tumour=tumour or old.tumour)
    folder = out or result
    again = with_thresholds(found, new)
    again.save(folder, formats=formats_in(result), save_probabilities=True, keep_identifiers=identified(result))
    tell(again, folder)

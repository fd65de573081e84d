"""Checks for slices that are blank, and for slices that repeat their neighbour."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pancascade.imaging.volume import Volume, sampled
from pancascade.messages.notices import Notice

SAMPLE_MM = 5.0
DRAWN_VALUES = 16
"""Fewest different values of a repeated slice. A drawn phantom has fewer and repeats by nature; a scan has noise."""


def slice_faults(scan_lps: Volume, *, scan_name: str) -> Iterator[Notice]:
    """Yield a notice for blank slices, and one for slices that repeat their neighbour.

    Padding and damaged exports leave such slices. Every slice is sampled on a grid of about 5 mm.

    Args:
        scan_lps: (I, J, K) with the third axis along the body.
        scan_name: Starts each sentence.

    Yields:
        ``blank_slices`` and ``repeated_slices``. Blank slices at the ends are padding and only information; blank
        slices between others are a gap and a warning.
    """
    steps = [max(1, round(SAMPLE_MM / spacing)) for spacing in scan_lps.spacing_mm[:2]]
    sample = sampled(scan_lps.voxels, (*steps, 1))
    blank = sample.min(axis=(0, 1)) == sample.max(axis=(0, 1))
    if blank.all():
        return
    if blank.any():
        yield _blank(blank, scan_name)
    repeats = [k for k in np.flatnonzero(~blank[:-1]).tolist() if _is_repeated(sample[..., k], sample[..., k + 1])]
    if repeats:
        yield Notice(
            code="repeated_slices",
            about="input",
            sentence=f"{scan_name}: {len(repeats)} of {len(blank)} slices repeat the one below, the first is slice "
            f"{repeats[0] + 2} from the feet; the scan may be damaged, or was resampled to the nearest slice. "
            "Give the original series.",
            values={"repeated": len(repeats), "slices": len(blank), "first": repeats[0] + 2},
        )


def _is_repeated(one: npt.NDArray[Any], next_one: npt.NDArray[Any]) -> bool:
    return np.array_equal(one, next_one) and len(np.unique(one)) >= DRAWN_VALUES


def _blank(blank: npt.NDArray[np.bool_], scan_name: str) -> Notice:
    pictures = np.flatnonzero(~blank)
    inside = int(np.count_nonzero(blank[pictures[0] : pictures[-1]]))
    count = int(np.count_nonzero(blank))
    where = f"{inside} of them between others; what lies there is lost" if inside else "at the ends, as padding"
    return Notice(
        code="blank_slices",
        severity="warning" if inside else "information",
        about="input",
        sentence=f"{scan_name}: {count} of {len(blank)} slices are blank, {where}."
        + (" Export the scan again." if inside else ""),
        values={"blank": count, "blank_inside": inside, "slices": len(blank)},
    )

"""Limit the memory: what a scan needs at least, and whether the limit was kept."""

from pancascade.errors import PancascadeError
from pancascade.imaging.volume import Volume
from pancascade.messages.notices import Notice
from pancascade.results.result import peak_memory_gb

PROGRAM_GB = 0.75
"""Interpreter, torch, OpenVINO, networks and batches of the shipped model, as measured; in GB."""

SLICE_GB = 0.001
"""GB for each slice while the voxels stay on disk.

Probability map and predictions, as measured on 1000 slices full of candidates.
"""


def require_memory(scan_lps: Volume, max_memory_gb: float | None) -> None:
    """Refuse a memory limit that is too low for the scan.

    Args:
        scan_lps: The scan, its third axis along the body.
        max_memory_gb: The limit; None for none.

    Raises:
        PancascadeError: The limit is too low.
    """
    least = PROGRAM_GB + SLICE_GB * scan_lps.shape[2]
    # Written so that NaN fails too.
    if max_memory_gb is not None and not max_memory_gb >= least:
        size = " x ".join(map(str, scan_lps.shape))
        raise PancascadeError(
            f"{scan_lps.name}: a scan of {size} voxels needs about {least:.1f} GB, but --max-memory allows "
            f"{max_memory_gb:g}. Allow more, or crop the scan."
        )


def memory_notices(max_memory_gb: float | None) -> list[Notice]:
    """Return a warning if more memory was used than the limit allows."""
    peak = peak_memory_gb()
    if max_memory_gb is None or peak is None or peak <= max_memory_gb:
        return []
    sentence = f"The process used up to {peak:.1f} GB, more than the {max_memory_gb:g} GB that --max-memory allows."
    return [Notice(code="memory_exceeded", about="result", sentence=sentence, values={"peak_gb": peak})]

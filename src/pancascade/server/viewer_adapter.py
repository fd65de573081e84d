"""The viewer's page and corrections of a job: the only place that knows their names."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pancascade.server.faults import RequestError

PAGE = "page.html"
"""The page itself, among its files."""

FILES = {
    "mask.nii.gz": "segmentation.nii.gz",
    "pancreas_probability.nii.gz": "probability_pancreas.nii.gz",
    "tumour_probability.nii.gz": "probability_tumour.nii.gz",
}
"""What the page asks for below ``files/``, and its name in a folder of results. The CT lies beside that folder."""


def page_file(name: str) -> tuple[bytes, str]:
    """A file of the viewer's page, and its media type.

    Args:
        name: As the page calls it; "" is the page.

    Raises:
        RequestError: There is none.
    """
    from pancascade.viewer import page_files

    pages = page_files()
    if (name or PAGE) not in pages:
        raise RequestError(404, "The viewer has no such file.")
    found = pages[name or PAGE]
    return found.content, found.media_type


def document(result: Path) -> dict[str, Any]:
    """What the page knows of a result.

    Args:
        result: Folder of results.

    Raises:
        UnreadableError: It is no whole result.
    """
    from pancascade.viewer import viewer_document

    return viewer_document(result, corrections=True)


def save_correction(result: Path, label_map: bytes, *, author: str) -> str:
    """Keep a mask that a reader has edited, beside the original one.

    Args:
        result: Folder of results.
        label_map: NIfTI, gzip.
        author: Who edited it.

    Returns:
        Name of its file.

    Raises:
        PancascadeError: It cannot be used.
    """
    from pancascade.corrections import save_correction as save

    return save(result, label_map, author=author, now=datetime.now(UTC)).name

"""The viewer's page and corrections, as far as they are installed: the only place that knows their names."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
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
        RequestError: There is none, or no viewer.
    """
    pages = _part("viewer", "page_files")()
    if (name or PAGE) not in pages:
        raise RequestError(404, "The viewer has no such file.")
    found = pages[name or PAGE]
    return found.content, found.media_type


def document(result: Path) -> dict[str, Any]:
    """What the page knows of a result.

    Args:
        result: Folder of results.

    Raises:
        RequestError: There is no viewer.
    """
    told: dict[str, Any] = _part("viewer", "viewer_document")(
        result, corrections=_is_there("corrections", "save_correction")
    )
    return told


def save_correction(result: Path, label_map: bytes, *, author: str) -> str:
    """Keep a mask that a reader has edited, beside the original one.

    Args:
        result: Folder of results.
        label_map: NIfTI, gzip.
        author: Who edited it.

    Returns:
        Name of its file.

    Raises:
        RequestError: Corrections are not installed.
        PancascadeError: It cannot be used.
    """
    save = _part("corrections", "save_correction")
    saved: Path = save(result, label_map, author=author, now=datetime.now(UTC))
    return saved.name


def _part(package: str, name: str) -> Callable[..., Any]:
    try:
        found: Callable[..., Any] = getattr(import_module(f"pancascade.{package}"), name)
    except (ImportError, AttributeError) as error:
        raise RequestError(501, f"This version of pancascade has no {package}. Install a newer one.") from error
    return found


def _is_there(package: str, name: str) -> bool:
    try:
        _part(package, name)
    except RequestError:
        return False
    return True

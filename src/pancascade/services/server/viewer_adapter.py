"""The viewer's page and corrections of a job; only this module knows the names of its files."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pancascade.services.server.faults import RequestError
from pancascade.services.server.server_settings import ServerSettings

PAGE = "page.html"
"""Name of the page itself among its files."""

FILES = {
    "mask.nii.gz": "segmentation.nii.gz",
    "pancreas_probability.nii.gz": "probability_pancreas.nii.gz",
    "tumour_probability.nii.gz": "probability_tumour.nii.gz",
}
"""Names below ``files/`` in requests of the page, and in a folder of results. The CT is beside that folder."""


def page_file(name: str) -> tuple[bytes, str]:
    """Return a file of the viewer's page, and its media type.

    Args:
        name: Name in the request; "" is the page.

    Raises:
        RequestError: There is no such file.
    """
    from pancascade.services.viewer import page_files

    pages = page_files()
    if (name or PAGE) not in pages:
        raise RequestError(404, "The viewer has no such file.")
    found = pages[name or PAGE]
    return found.content, found.media_type


def document(result: Path, settings: ServerSettings) -> dict[str, Any]:
    """Return the data of a result for the page, and how long a correction of it is kept.

    Args:
        result: Folder of results.
        settings: Settings of the server.

    Raises:
        UnreadableError: It is no complete result.
    """
    from pancascade.services.viewer import viewer_document

    return {**viewer_document(result, corrections=True), "corrections_note": corrections_note(settings)}


def corrections_note(settings: ServerSettings) -> str:
    """Return how long corrections are kept, for the reader."""
    if settings.corrections is not None:
        return "Corrections are kept with their scan in the server's folder of corrections."
    hours = "" if settings.keep_hours is None else f", {settings.keep_hours:g} hours after its end at the latest"
    return f"A correction is removed with its job{hours}: download it, or start the server with --corrections FOLDER."


def save_correction(result: Path, label_map: bytes, *, author: str) -> str:
    """Save an edited mask beside the original one.

    Args:
        result: Folder of results.
        label_map: NIfTI, gzip.
        author: Name of the reader.

    Returns:
        The name of its file.

    Raises:
        PancascadeError: The mask cannot be used.
    """
    from pancascade.results.corrections import save_correction as save

    return save(result, label_map, author=author, now=datetime.now(UTC)).name


def prepare_corrections(folder: Path) -> None:
    """Make the folder of corrections, and remove the drafts of killed servers.

    Args:
        folder: Folder of all copies.

    Raises:
        OSError: It cannot be made or written.
    """
    from pancascade.results.corrections import prepare_folder

    prepare_folder(folder)


def keep_corrected(result: Path, scan: Path, place: Path) -> None:
    """Copy a corrected result to permanent storage.

    Args:
        result: Folder of results.
        scan: The segmented scan.
        place: Folder of the copy.

    Raises:
        OutputError: A file cannot be written.
    """
    from pancascade.results.corrections import keep_corrected as keep

    keep(result, scan, place)


def not_kept(result: Path, place: Path) -> list[str]:
    """Return the names of saved label maps that the permanent copy lacks, the oldest first.

    Args:
        result: Folder of results.
        place: Folder of the copy, which may be missing.
    """
    from pancascade.results.corrections import not_kept as lacking

    return lacking(result, place)

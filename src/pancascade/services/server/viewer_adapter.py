"""The viewer's page and corrections of a job: the only place that knows their names."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pancascade.services.server.faults import RequestError
from pancascade.services.server.server_settings import ServerSettings

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
    from pancascade.services.viewer import page_files

    pages = page_files()
    if (name or PAGE) not in pages:
        raise RequestError(404, "The viewer has no such file.")
    found = pages[name or PAGE]
    return found.content, found.media_type


def document(result: Path, settings: ServerSettings) -> dict[str, Any]:
    """What the page knows of a result, and how long a correction of it is kept.

    Args:
        result: Folder of results.
        settings: Of the server.

    Raises:
        UnreadableError: It is no whole result.
    """
    from pancascade.services.viewer import viewer_document

    return {**viewer_document(result, corrections=True), "corrections_note": corrections_note(settings)}


def corrections_note(settings: ServerSettings) -> str:
    """What a reader should know before he saves a correction."""
    if settings.corrections is not None:
        return "Corrections stay, with their scan, in the server's folder of corrections."
    hours = "" if settings.keep_hours is None else f", {settings.keep_hours:g} hours after its end at the latest"
    return f"A correction is removed with its job{hours}: download it, or start the server with --corrections FOLDER."


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
    from pancascade.results.corrections import save_correction as save

    return save(result, label_map, author=author, now=datetime.now(UTC)).name


def prepare_corrections(folder: Path) -> None:
    """Make the folder of corrections, and remove what killed servers left there.

    Args:
        folder: Of all copies.

    Raises:
        OSError: It cannot be made or written.
    """
    from pancascade.results.corrections import prepare_folder

    prepare_folder(folder)


def keep_corrected(result: Path, scan: Path, place: Path) -> None:
    """Copy a corrected result to where it stays.

    Args:
        result: Folder of results.
        scan: As it was segmented.
        place: Folder of the copy.

    Raises:
        OutputError: It cannot be written.
    """
    from pancascade.results.corrections import keep_corrected as keep

    keep(result, scan, place)

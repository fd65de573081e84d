"""A corrected result copied to where it stays, when the result itself is only kept for a while."""

import secrets
from pathlib import Path
from shutil import copyfile, copytree, ignore_patterns, rmtree
from threading import Lock

from pancascade.errors import OutputError
from pancascade.files.atomic import DRAFT, written_whole
from pancascade.results.corrections.record import FOLDER

SCAN = "scan.nii.gz"
"""Name of the scan beside the copy, where training looks for it."""

_one_at_a_time = Lock()


def keep_corrected(result: Path, scan: Path, place: Path) -> None:
    """Copy a result with its corrections and its scan, or add the corrections that the copy has not yet.

    Args:
        result: Folder of a result to which a correction was saved.
        scan: NIfTI file that was segmented.
        place: Folder of the copy; it appears whole.

    Raises:
        OutputError: It cannot be written.
    """
    draft = place.parent / f"{DRAFT}{secrets.token_hex(4)}"
    try:
        with _one_at_a_time:
            if place.exists():
                _add(result / FOLDER, place / FOLDER)
                return
            # Probabilities are for new thresholds, not for training, and most of the size.
            copytree(result, draft, ignore=ignore_patterns(".*", "probability_*"))
            copyfile(scan, draft / SCAN)
            draft.replace(place)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise OutputError(
            f"The correction is saved with its result, but the folder of corrections cannot be written ({why}). "
            "Download it."
        ) from error
    finally:
        rmtree(draft, ignore_errors=True)


def _add(corrections: Path, kept: Path) -> None:
    """The label map before its record, without which it does not count."""
    for path in sorted(corrections.glob("[0-9]*"), key=lambda path: (path.suffix == ".json", path.name)):
        if not (kept / path.name).exists():
            with written_whole(kept / path.name) as temporary:
                copyfile(path, temporary)

"""Copy a corrected result to permanent storage, when the result itself is deleted after a while."""

import secrets
from contextlib import suppress
from pathlib import Path
from shutil import copyfile, copytree, ignore_patterns, rmtree
from tempfile import TemporaryDirectory
from threading import Lock

from pancascade.errors import OutputError
from pancascade.files.atomic import DRAFT, drafts_in, written_whole
from pancascade.files.output_lock import lock_output
from pancascade.results.corrections.record import FOLDER, corrections_of

SCAN = "scan.nii.gz"
"""Name of the scan beside the copy, where training looks for it."""

_WHOLE = "result"
_WRITER = "pancascade serve"
_one_at_a_time = Lock()


def prepare_folder(folder: Path) -> None:
    """Make the folder of the copies, and remove the drafts of killed servers.

    Args:
        folder: Several servers may share it: a draft that one of them is writing is locked, and is kept.

    Raises:
        OSError: It cannot be made or written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=DRAFT, dir=folder):  # find out now, not at a correction, that it cannot be written
        pass
    for draft in drafts_in(folder):
        with suppress(OutputError), lock_output(draft, what=_WRITER):
            rmtree(draft, ignore_errors=True)


def keep_corrected(result: Path, scan: Path, place: Path) -> None:
    """Copy a result with its corrections and its scan, or add the corrections that the copy lacks.

    Args:
        result: Folder of a result to which a correction was saved.
        scan: NIfTI file that was segmented.
        place: Folder of the copy; it is written whole or not at all.

    Raises:
        OutputError: A file cannot be written.
    """
    try:
        with _one_at_a_time:
            if place.exists():
                _add(result / FOLDER, place / FOLDER)
            else:
                _copy(result, scan, place)
    except (OSError, OutputError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        why = (getattr(cause, "strerror", None) or type(error).__name__).lower()
        raise OutputError(
            f"The correction is saved with its result, but the folder of corrections cannot be written ({why}). "
            "Download it."
        ) from error


def not_kept(result: Path, place: Path) -> list[str]:
    """Return the names of the result's label maps that its copy lacks, the oldest first.

    Args:
        result: Folder of a result.
        place: Folder of its copy, which may be missing.
    """
    saved = corrections_of(result)
    return [one.label_map.name for one in saved if not (place / FOLDER / f"{one.number:03d}.json").exists()]


def _copy(result: Path, scan: Path, place: Path) -> None:
    """Copy all at once; the draft is locked, so that other servers do not take it for a killed run's."""
    draft = place.parent / f"{DRAFT}{secrets.token_hex(4)}"
    try:
        with lock_output(draft, what=_WRITER):
            # Probabilities are most of the size, and training does not use them.
            copytree(result, draft / _WHOLE, ignore=ignore_patterns(".*", "probability_*"))
            copyfile(scan, draft / _WHOLE / SCAN)
            (draft / _WHOLE).replace(place)
    finally:
        rmtree(draft, ignore_errors=True)


def _add(corrections: Path, kept: Path) -> None:
    """Copy each label map before its record; without a record it does not count."""
    for path in sorted(corrections.glob("[0-9]*"), key=lambda path: (path.suffix == ".json", path.name)):
        if not (kept / path.name).exists():
            with written_whole(kept / path.name) as temporary:
                copyfile(path, temporary)

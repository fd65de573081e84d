"""Digests of files by their content, because copies have new dates, and marks of patients."""

import hashlib
from glob import escape
from pathlib import Path

from pancascade.files.file_names import composed
from pancascade.files.folders import files_below

UNREADABLE = "unreadable"


def content_digest(path: Path) -> str:
    """Return the BLAKE2b digest of a file's content, or of all files of a folder, as 32 hexadecimal digits.

    The digest does not depend on names, dates or the path. For formats with voxels in a second file of the same name
    (.mhd, .nhdr), that file is included.

    Args:
        path: File, or folder of a DICOM series.

    Returns:
        The digest; "unreadable" if a file cannot be read, whose reader will report the error.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        for part in _parts(path):
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "blake2b").digest())
    except OSError:
        return UNREADABLE
    return digest.hexdigest()


MARK_DIGITS = 12


def patient_mark(patient: str) -> str:
    """Return the mark (hash) that replaces a patient's name in weights and results.

    Whoever knows a patient's name can check whether the mark is that patient's; nobody can read the name from it. Names
    that are easily guessed, such as running numbers, are no secret.
    """
    return text_digest(composed(patient))[:MARK_DIGITS]


def text_digest(text: str) -> str:
    """Return the BLAKE2b digest of a text, such as a patient's name, as 32 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _parts(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(part for part in files_below(path) if part.is_file())
    if path.suffix.lower() in (".mhd", ".nhdr"):
        return sorted(part for part in path.parent.glob(f"{escape(path.stem)}.*") if part.is_file())
    return [path]

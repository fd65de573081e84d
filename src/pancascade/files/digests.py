"""Fingerprints of files and scans by their content: copies have new dates and the same numbers."""

import hashlib
from glob import escape
from pathlib import Path

from pancascade.files.file_names import composed
from pancascade.files.folders import files_below

UNREADABLE = "unreadable"


def content_digest(path: Path) -> str:
    """BLAKE2b digest of a file's content, or of all files of a folder, in 32 hexadecimal digits.

    Names and dates do not matter, nor does where the file lies. Files that keep their voxels in a second file of
    the same name (.mhd, .nhdr) are taken with it.

    Args:
        path: File, or folder of a DICOM series.

    Returns:
        The digest; "unreadable" where a file cannot be read, which reading it will explain.
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
    """What stands for a patient where no name may travel: in weights and in results.

    Who knows a patient's name can tell whether the mark is his; nobody can read the name off it. Names that are easily
    guessed, such as running numbers, are no secret either way.
    """
    return text_digest(composed(patient))[:MARK_DIGITS]


def text_digest(text: str) -> str:
    """BLAKE2b digest of a text, such as a patient's name, in 32 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _parts(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(part for part in files_below(path) if part.is_file())
    if path.suffix.lower() in (".mhd", ".nhdr"):
        return sorted(part for part in path.parent.glob(f"{escape(path.stem)}.*") if part.is_file())
    return [path]

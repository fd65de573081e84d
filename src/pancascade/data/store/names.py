"""Names of files and folders in a store."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pancascade.errors import DataError

ARRAYS, IMAGES, MASKS, RECORDS = "arrays", "images", "masks", "records"
FOLDERS = (ARRAYS, IMAGES, MASKS, RECORDS)
PICTURE_INDEX = "index.csv"


def file_name(name: str) -> str:
    """Return a name as a valid file name; other characters, such as slashes, become underscores."""
    return re.sub(r"[^\w.\-]+", "_", name).lstrip(".") or "_"


def require_distinct_files(names: Sequence[str]) -> None:
    """Check that no two names give the same file name, ignoring case.

    Raises:
        DataError: Two do, at least on file systems that ignore upper and lower case.
    """
    counted = Counter(file_name(name).casefold() for name in names)
    twice = [name for name in names if counted[file_name(name).casefold()] > 1]
    if twice:
        raise DataError(f"Two cases are called {twice[0]} and {twice[1]}, too similar for file names. Rename one.")


def record_of(store: Path, case: str) -> Path:
    """Return the path of a case's record of sources and files, which is written when the case is complete."""
    return store / RECORDS / f"{file_name(case)}.json"

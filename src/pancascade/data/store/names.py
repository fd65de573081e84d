"""Where a store keeps what."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pancascade.errors import DataError

ARRAYS, IMAGES, MASKS, RECORDS = "arrays", "images", "masks", "records"
FOLDERS = (ARRAYS, IMAGES, MASKS, RECORDS)
PICTURE_INDEX = "index.csv"


def file_name(name: str) -> str:
    """A name with nothing in it that a file's name must not have; a folder's parts are joined."""
    return re.sub(r"[^\w.\-]+", "_", name).lstrip(".") or "_"


def require_distinct_files(names: Sequence[str]) -> None:
    """Pass only if no two names would be one file's.

    Raises:
        DataError: Two are, at least on file systems that do not tell capitals from small letters.
    """
    counted = Counter(file_name(name).casefold() for name in names)
    twice = [name for name in names if counted[file_name(name).casefold()] > 1]
    if twice:
        raise DataError(f"Two cases are called {twice[0]} and {twice[1]}, too much alike for files. Rename one.")


def record_of(store: Path, case: str) -> Path:
    """Where the record of a case lies: what it was made from and what was written, once all of it is there."""
    return store / RECORDS / f"{file_name(case)}.json"

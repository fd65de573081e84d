"""Where a store keeps what."""

import re
from pathlib import Path

ARRAYS, IMAGES, MASKS, RECORDS = "arrays", "images", "masks", "records"
FOLDERS = (ARRAYS, IMAGES, MASKS, RECORDS)
PICTURE_INDEX = "index.csv"


def file_name(name: str) -> str:
    """A name with nothing in it that a file's name must not have; a folder's parts are joined."""
    return re.sub(r"[^\w.\-]+", "_", name).lstrip(".") or "_"


def record_of(store: Path, case: str) -> Path:
    """Where the record of a case lies: what it was made from and what was written, once all of it is there."""
    return store / RECORDS / f"{file_name(case)}.json"

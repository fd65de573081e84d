"""Key of everything that the voxels and labels of a case depend on, to detect outdated results."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pancascade.data.readers.case import Case
from pancascade.files.digests import content_digest
from pancascade.files.file_names import there

MISSING = "missing"


def reading_key(case: Case) -> dict[str, Any]:
    """Return the digests of a case's files, its reading options and label meanings; JSON-compatible.

    The key is the same for copies elsewhere and in other runs, and independent of case and patient names.

    Args:
        case: Case of a data set. An absent file counts as "missing", one that cannot be read as "unreadable".
    """
    scan = case.scan
    reading = [case.read_slices] if scan is None else [scan.read_image, scan.read_values]
    return {
        "files": [content_digest(path) if there(path) else MISSING for path in case.files],
        "reading": [_described(part) for part in reading],
        "meaning": {} if scan is None else {str(value): str(structure) for value, structure in scan.meaning.items()},
    }


def _described(part: Any) -> Any:
    """Return a function with its arguments as JSON, the same in another run and another folder."""
    if isinstance(part, partial):
        return [_described(part.func), [_described(value) for value in part.args], _described(part.keywords)]
    if is_dataclass(part) and not isinstance(part, type):
        part = {field.name: getattr(part, field.name) for field in fields(part)}
    elif isinstance(part, BaseModel):
        part = part.model_dump(mode="json")
    if isinstance(part, Mapping):
        return {str(name): _described(value) for name, value in sorted(part.items())}
    if isinstance(part, Path):  # the file's content is in the digests
        return "path"
    if callable(part):
        return getattr(part, "__qualname__", type(part).__name__)
    return str(part)

"""All errors that users can meet.

PancascadeError
├── ScanError           a scan, mask or picture cannot be used
│   ├── UnreadableError     not a file, not an image, truncated
│   ├── GeometryError       wrong dimensions, spacing, or grid
│   └── NotCTError          voxels that cannot be Hounsfield units
├── DataError           a data set or split is inconsistent
├── FetchError          a data set cannot be downloaded
├── RecipeError         a recipe has an unknown key or a value out of range
├── CheckpointError     weights are missing, damaged, or for another network
├── UnknownModelError   no shipped model or checkpoint of that name
├── ExportError         a model cannot be exported
├── PacsError           a PACS cannot be reached or refuses
├── MemoryShortageError the work does not fit into memory
└── OutputError         a result cannot be written

A message says what is wrong, where, what was found, and what to do. The command line prints it as one
sentence and ends with exit code 2. A ScanError also has a code for programs; docs/notices.md lists all codes.
"""

from collections.abc import Sequence

from pancascade.messages.names_only import DICOM_FOLDER, names_only

NAMED = 3
"""Number of items that a message names."""

MOST_CHARACTERS = 200
"""Longest message."""


class PancascadeError(Exception):
    """Base of all errors that a user can cause and correct.

    The message names files without their folders, and is one line even if a name has several.
    """

    _folder: str | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(" ".join(names_only(message, folder=self._folder).splitlines()))


class ScanError(PancascadeError):
    """A scan, mask or picture cannot be used.

    Attributes:
        code: Reason, for programs: small letters and underscores.
    """

    code: str = "scan_unusable"
    _folder = DICOM_FOLDER

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class UnreadableError(ScanError):
    """The path is not a file, not an image, or a damaged one."""

    code = "unreadable"


class GeometryError(ScanError):
    """Dimensions, spacing or grid do not fit."""

    code = "geometry"


class NotCTError(ScanError):
    """The voxels cannot be Hounsfield units of a CT."""

    code = "not_ct"


class DataError(PancascadeError):
    """A data set or its split is inconsistent."""


class FetchError(PancascadeError):
    """A data set cannot be downloaded."""


class RecipeError(PancascadeError):
    """A recipe has an unknown key or a value out of range."""


class CheckpointError(PancascadeError):
    """Weights are missing, damaged, or for another network."""


class UnknownModelError(PancascadeError):
    """There is no shipped model and no checkpoint of that name."""


class ExportError(PancascadeError):
    """A model cannot be exported, or an exported network's output differs from torch's."""


class PacsError(PancascadeError):
    """A PACS cannot be reached, or refuses a request."""


class MemoryShortageError(PancascadeError):
    """The work does not fit into this machine's memory."""


class OutputError(PancascadeError):
    """A result cannot be written to the requested place."""


def listed(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are, for a message."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def with_first_reason(reported: str, reason: str) -> str:
    """Return a message with the reason why the first case failed; only the reason, if both are too long."""
    both = names_only(f"{reported} The first reason: {reason}")
    return both if len(both) <= MOST_CHARACTERS else reason

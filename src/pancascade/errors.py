"""Every error a user can meet.

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
└── OutputError         a result cannot be written

A message says what is wrong, where, what was found, and what to do. The command line prints it as one
sentence and ends with exit code 2.
"""

from collections.abc import Sequence

NAMED = 3
"""How many things a message names."""


class PancascadeError(Exception):
    """Root of all errors that a user can cause and mend."""


class ScanError(PancascadeError):
    """A scan, mask or picture cannot be used."""


class UnreadableError(ScanError):
    """The path is not a file, not an image, or a damaged one."""


class GeometryError(ScanError):
    """Dimensions, spacing or grid do not fit."""


class NotCTError(ScanError):
    """The voxels cannot be Hounsfield units of a CT."""


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


class OutputError(PancascadeError):
    """A result cannot be written where it was asked for."""


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are, for a message."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")

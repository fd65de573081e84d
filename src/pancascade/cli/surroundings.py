"""Errors that come from where a command runs: standard output that cannot be written, a working folder that is gone."""

import os
import sys
from pathlib import Path


def fault_of_surroundings(error: Exception) -> str | None:
    """Return a sentence for an error that neither the input nor the program caused; None for any other.

    Standard output is replaced if it cannot be written: Python would fail once more at the end.

    Args:
        error: The error that ended a verb.
    """
    if not isinstance(error, OSError):
        return None
    try:
        Path.cwd()
    except OSError:
        return "the working folder no longer exists. Change to another folder."
    if error.filename is None and (why := _unwritten()) is not None:
        return f"the output cannot be printed ({why}). Files are complete; print elsewhere, or use --quiet."
    return None


def _unwritten() -> str | None:
    """Return why standard output cannot be written, and replace it; None if it can, or is no file."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return None
    try:
        os.write(number, b"\n")  # a second flush of what could not be written reports nothing
    except OSError as error:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # until the process ends
        return error.strerror
    return None

"""Errors that come from where a command runs: output that cannot be written, a folder that is gone, too long a name."""

import errno
import os
import re
import sys
from pathlib import Path

_MOST_CHARACTERS = 200
_LONG_WORD = re.compile(r"\S{61,}")


def readable(message: str) -> str:
    """Return a message whose very long words, such as names, are cut in the middle; a short message as it is.

    Args:
        message: Message for the user.
    """
    if len(message) <= _MOST_CHARACTERS:
        return message
    return _LONG_WORD.sub(lambda word: f"{word[0][:30]}…{word[0][-20:]}", message)


def fault_of_surroundings(error: Exception) -> str | None:
    """Return a sentence for an error that neither the input nor the program caused; None for any other.

    Standard output is replaced if it cannot be written: Python would fail once more at the end.

    Args:
        error: The error that ended a verb.
    """
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.ENAMETOOLONG:
        return f"{Path(str(error.filename or 'a file')).name}: this name is too long. Check the path."
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

"""Weights that torch saved are a zip archive, whose checksums torch does not look at."""

import zipfile
import zlib
from pathlib import Path

from pancascade.errors import CheckpointError
from pancascade.files.documents import shortened


def require_sound(path: Path, *, name: str) -> None:
    """Pass for an archive whose parts have their checksums, and for a file that is no archive.

    Torch loads one with a flipped bit in its weights without a word, and the network answers something else.

    Args:
        path: A file that ``torch.save`` or ``torch.jit.save`` wrote, or anything else.
        name: Of the network, for the message.

    Raises:
        CheckpointError: A part is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile as error:
        if not zipfile.is_zipfile(path):  # an older kind, or no weights at all: whoever loads it says so
            return
        raise _damaged(path, name) from error
    except OSError:  # as above
        return
    except (zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise _damaged(path, name) from error
    if damaged is not None:
        raise _damaged(path, name)


def _damaged(path: Path, name: str) -> CheckpointError:
    return CheckpointError(
        f"{shortened(name, 60)}: {shortened(path.name, 60)} is damaged, its checksums are those of other weights. "
        "Copy it again."
    )

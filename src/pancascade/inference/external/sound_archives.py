"""Check the checksums of weights saved by torch: they are a zip archive, and torch ignores its checksums."""

import zipfile
from pathlib import Path

from pancascade.errors import CheckpointError
from pancascade.files.archives import ARCHIVE_FAULTS
from pancascade.files.documents import shortened


def require_sound(path: Path, *, name: str) -> None:
    """Accept an archive whose parts match their checksums, and a file that is no archive.

    Torch loads weights with a flipped bit without an error, and the network's output is wrong.

    Args:
        path: A file that ``torch.save`` or ``torch.jit.save`` wrote, or anything else.
        name: Name of the network, for the message.

    Raises:
        CheckpointError: A part is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile as error:
        if not zipfile.is_zipfile(path):  # an older format, or no weights: the loader reports that
            return
        raise _damaged(path, name) from error
    except OSError:  # as above
        return
    except ARCHIVE_FAULTS as error:
        raise _damaged(path, name) from error
    if damaged is not None:
        raise _damaged(path, name)


def _damaged(path: Path, name: str) -> CheckpointError:
    return CheckpointError(
        f"{shortened(name, 60)}: {shortened(path.name, 60)} is damaged, its checksums do not match its weights. "
        "Copy it again."
    )

"""Results replace results of the same kind alone: nothing that is read, and no file of somebody else."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pancascade.errors import OutputError, listed
from pancascade.files.atomic import drafts_in

_SHOWN = 3


def require_replaceable(
    folder: Path, names: Sequence[str], *, seals: Sequence[str], read: Iterable[Path | None] = ()
) -> None:
    """Refuse a folder in which results would replace what is read, or files that are none of this kind of results.

    Args:
        folder: For the results; held, and before any long work.
        names: Of the files that are written there, or removed.
        seals: Files by which results of this kind are known; one of them is enough.
        read: Files that are read; None for what is not given.

    Raises:
        OutputError: A file that is read has one of the names there; or files have, and nothing shows what they are.
    """
    there = [name for name in names if (folder / name).exists()]
    for path in read:
        same = [name for name in there if path is not None and path.exists() and (folder / name).samefile(path)]
        if same:
            raise OutputError(
                f"{folder}: the result would replace {same[0]}, which is read. Choose another --out folder."
            )
    if there and not any((place / seal).exists() for place in (folder, *drafts_in(folder)) for seal in seals):
        raise OutputError(
            f"{folder}: holds {listed(there[:_SHOWN])} without a {seals[0]}, so it may be somebody else's work, which "
            "the result would replace. Move it away, or choose another --out folder."
        )

"""Check that results replace only results of the same kind: no input and no other file."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pancascade.errors import OutputError, listed
from pancascade.files.atomic import drafts_in

_SHOWN = 3


def require_replaceable(
    folder: Path, names: Sequence[str], *, seals: Sequence[str], read: Iterable[Path | None] = ()
) -> None:
    """Refuse a folder in which results would replace an input or files that are not such results.

    Args:
        folder: Folder of the results, already locked; checked before any long work.
        names: Names of the files that will be written or removed there.
        seals: Files that identify results of this kind; one of them is enough.
        read: Input files; None for an input that is not given.

    Raises:
        OutputError: An input has one of the names there; or other files have, and no seal identifies them.
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

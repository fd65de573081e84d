"""Write the folder of one case whole or not at all; an edited mask is never replaced."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from pancascade.errors import OutputError, ScanError
from pancascade.files.atomic import DRAFT


@contextmanager
def written_case(out: Path, case: str) -> Iterator[Path]:
    """Yield a hidden folder to write into; it becomes the case's folder if all goes well.

    It is moved as a whole, so that two processes with the same case (one was thought dead) never mix their files.

    Args:
        out: Folder of all results.
        case: Name of the case.

    Raises:
        OutputError: It cannot be written, or the mask of the former result was edited.
    """
    token = secrets.token_hex(4)
    draft, former = out / f"{DRAFT}{token}", out / f"{DRAFT}{token}-former"
    try:
        draft.mkdir(parents=True)
        yield draft
        if (out / case).exists():
            _require_unedited(out / case)
            (out / case).replace(former)
        draft.replace(out / case)
    except OSError as error:
        raise OutputError(f"{case}: cannot be written ({error.strerror or error}). Choose another --out.") from error
    finally:
        for folder in (draft, former):
            rmtree(folder, ignore_errors=True)


def _require_unedited(folder: Path) -> None:
    from pancascade.results.corrections import has_corrections
    from pancascade.results.result import read_result
    from pancascade.results.result_files import changed_files
    from pancascade.results.structures import MASKS as STRUCTURES
    from pancascade.segmentation.saving import MASKS

    if has_corrections(folder):
        raise OutputError(
            f"{folder.name}: holds saved corrections, and the result of another scan would replace them. Move it away."
        )
    try:
        known = read_result(folder)
    except ScanError:  # a refusal, or a damaged result: nothing to compare with
        return
    changed = [
        name for name in changed_files(folder, known, names=[*MASKS.values(), *STRUCTURES]) if (folder / name).exists()
    ]
    if changed:
        raise OutputError(
            f"{folder.name}: {changed[0]} was edited since it was written, and the result of another scan would "
            "replace it. Move it away."
        )

"""Copy all masks of a batch to one folder, named by case, as leaderboards and nnU-Net's evaluation require."""

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from tempfile import TemporaryFile

from pancascade.errors import OutputError
from pancascade.files.atomic import written_whole
from pancascade.files.given_paths import real_path
from pancascade.files.made_folders import made_by, remove_empty


class FlatMasks:
    """A folder with a copy of every mask.

    Args:
        folder: The folder; made with the first mask if it is missing.
        out: Folder of the batch.
        formats: Formats of its masks.
        read: Scans, and masks of the pancreas, that the batch reads.
        searched: Files and folders in which they were found.

    Raises:
        OutputError: The folder lies in the batch's own or where scans are looked for, holds what is read, cannot be
            written, or no mask is written as NIfTI.
    """

    def __init__(
        self, folder: Path, out: Path, *, formats: Collection[str], read: Iterable[Path], searched: Iterable[Path] = ()
    ) -> None:
        if "nifti" not in formats:
            raise OutputError("--flat copies masks as NIfTI. Give --format nifti as well.")
        place = real_path(folder)
        if place.is_relative_to(real_path(out)):
            raise OutputError(f"--flat {folder}: lies in the folder of the results. Choose another one.")
        # A mask with the name of its scan would replace it.
        if any(place in (real_path(path), real_path(path).parent) for path in read):
            raise OutputError(f"--flat {folder}: holds scans or masks that are read. Choose another folder.")
        if any(each.is_dir() and place.is_relative_to(real_path(each)) for each in searched):
            raise OutputError(
                f"--flat {folder.name}: lies in a folder of scans, and its masks would be taken for scans by the next "
                "run. Choose another folder."
            )
        made = made_by(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"--flat {folder}: cannot be written ({reason}). Choose another folder.") from error
        finally:
            remove_empty(made)  # the batch may still be refused
        self._folder, self._out = folder, out

    def copy(self, cases: Iterable[str]) -> int:
        """Copy all existing masks, also those of earlier runs; each whole or not at all.

        Args:
            cases: Names of the cases.

        Returns:
            The number of copied masks.

        Raises:
            OutputError: A copy cannot be written.
        """
        from pancascade.segmentation.saving import MASKS

        copied = 0
        for case in cases:
            mask = self._out / case / MASKS["nifti"]
            if mask.is_file():
                with written_whole(self._folder / f"{case}.nii.gz") as temporary:
                    shutil.copyfile(mask, temporary)
                copied += 1
        return copied

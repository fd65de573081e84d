"""All masks of a batch in one folder, named by their cases, as leaderboards and nnU-Net's evaluation want them."""

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from pancascade.errors import OutputError
from pancascade.files.atomic import written_whole
from pancascade.files.output_lock import made_by, remove_empty


class FlatMasks:
    """The folder that gets a copy of every mask.

    Args:
        folder: Made with the first mask if it is missing.
        out: Of the batch.
        formats: Of its masks.
        read: Scans, and masks of the pancreas, that the batch reads.
        searched: Files and folders in which they were found.

    Raises:
        OutputError: The folder lies in the batch's own or where scans are looked for, holds what is read, cannot be
            made, or no mask is written as NIfTI.
    """

    def __init__(
        self, folder: Path, out: Path, *, formats: Collection[str], read: Iterable[Path], searched: Iterable[Path] = ()
    ) -> None:
        if "nifti" not in formats:
            raise OutputError("--flat copies masks as NIfTI. Give --format nifti as well.")
        place = folder.absolute().resolve()
        if place.is_relative_to(out.absolute().resolve()):
            raise OutputError(f"--flat {folder}: lies in the folder of the results. Choose another one.")
        # A mask that is called like its scan would replace it.
        if any(place in (path.resolve(), path.resolve().parent) for path in read):
            raise OutputError(f"--flat {folder}: holds scans or masks that are read. Choose another folder.")
        if any(each.is_dir() and place.is_relative_to(each.resolve()) for each in searched):
            raise OutputError(
                f"--flat {folder.name}: lies in a folder of scans, and its masks would be taken for scans by the next "
                "run. Choose another folder."
            )
        made = made_by(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"--flat {folder}: cannot be made ({error.strerror}). Choose another folder.") from error
        finally:
            remove_empty(made)  # the batch may yet be refused
        self._folder, self._out = folder, out

    def copy(self, cases: Iterable[str]) -> int:
        """Copy the masks that are there, whether made now or by an earlier run; each whole or not at all.

        Args:
            cases: Names.

        Returns:
            How many there are.

        Raises:
            OutputError: One cannot be written.
        """
        from pancascade.segmentation.segmentation import MASKS

        copied = 0
        for case in cases:
            mask = self._out / case / MASKS["nifti"]
            if mask.is_file():
                with written_whole(self._folder / f"{case}.nii.gz") as temporary:
                    shutil.copyfile(mask, temporary)
                copied += 1
        return copied

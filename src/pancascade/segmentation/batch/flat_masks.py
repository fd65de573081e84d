"""All masks of a batch in one folder, named by their cases, as leaderboards and nnU-Net's evaluation want them."""

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from pancascade.errors import OutputError
from pancascade.files.atomic import written_whole


class FlatMasks:
    """The folder that gets a copy of every mask.

    Args:
        folder: Made if it is missing.
        out: Of the batch.
        formats: Of its masks.

    Raises:
        OutputError: The folder is the batch's own, cannot be made, or no mask is written as NIfTI.
    """

    def __init__(self, folder: Path, out: Path, *, formats: Collection[str]) -> None:
        if "nifti" not in formats:
            raise OutputError("--flat copies masks as NIfTI. Give --format nifti as well.")
        if folder.absolute().resolve() == out.absolute().resolve():
            raise OutputError(f"--flat {folder}: this is the folder of the results. Choose another one.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"--flat {folder}: cannot be made ({error.strerror}). Choose another folder.") from error
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

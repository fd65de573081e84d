"""The pictures of a result for the page: gzip NIfTI on the scan's grid."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from pancascade.errors import UnreadableError
from pancascade.imaging.volume import Volume
from pancascade.labels import Label

CT = "files/ct.nii.gz"
MASK = "files/mask.nii.gz"
PROBABILITIES = {label.title: f"files/{label.title}_probability.nii.gz" for label in (Label.PANCREAS, Label.TUMOUR)}
"""Addresses relative to the page's."""

FILES = ("segmentation.nii.gz", *(f"probability_{name}.nii.gz" for name in PROBABILITIES))
"""Files of a result that are shown if they are there."""

_QUICK = 1


@dataclass(frozen=True)
class Pictures:
    """The pictures of one result.

    Attributes:
        result: Folder of `pancascade segment --out`.
        scan: The segmented scan, already checked; None if it is not available.
    """

    result: Path
    scan: Volume | None = None

    def probabilities(self) -> dict[str, str]:
        """Return the address of each probability map of the result, by target."""
        return {name: address for name, address in PROBABILITIES.items() if self._probability(name).is_file()}

    def content(self, address: str) -> bytes | None:
        """Return the content of a file by its address; None for an unknown address.

        Raises:
            UnreadableError: The result has no mask as NIfTI.
        """
        if address == CT and self.scan is not None:
            return packed(self.scan)
        if address == MASK:
            mask = self.result / "segmentation.nii.gz"
            if not mask.is_file():
                raise UnreadableError(
                    f"{self.result.name}: holds no segmentation.nii.gz. Segment the scan again with --format nifti.",
                    code="no_mask",
                )
            return mask.read_bytes()
        for name, known in PROBABILITIES.items():
            if address == known and self._probability(name).is_file():
                return self._probability(name).read_bytes()
        return None

    def _probability(self, name: str) -> Path:
        return self.result / f"probability_{name}.nii.gz"


def packed(volume: Volume) -> bytes:
    """Return a scan as a gzip NIfTI file of int16 Hounsfield units, without text of its source's header."""
    values = np.clip(np.rint(volume.voxels), -32768, 32767).astype(np.int16)
    image = nib.Nifti1Image(values, np.asarray(volume.affine))
    image.set_sform(image.affine, "scanner")
    image.set_qform(image.affine, "scanner")
    return gzip.compress(image.to_bytes(), compresslevel=_QUICK, mtime=0)

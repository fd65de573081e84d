"""What segments the scans of MONAI Label's clients."""

from pathlib import Path
from typing import Protocol


class Segmenter(Protocol):
    """Segments scans.

    Attributes:
        model: Name of the model.
        description: Description of the model, one sentence.
    """

    model: str
    description: str

    def segment(self, scan: Path, out: Path) -> None:
        """Segment one scan; return when it is done.

        Args:
            scan: NIfTI file; nobody changes it meanwhile.
            out: Folder to make, with the files of `pancascade segment --out`.

        Raises:
            PancascadeError: There is no result; the sentence gives the reason.
        """
        ...

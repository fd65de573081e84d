"""Label ids of every mask that pancascade writes, with their names, colours and SNOMED CT codes."""

from enum import IntEnum
from typing import NamedTuple


class Label(IntEnum):
    """Value of a voxel in a segmentation."""

    BACKGROUND = 0
    PANCREAS = 1
    TUMOUR = 2

    @property
    def title(self) -> str:
        """Lower-case English name, as written in reports."""
        return self.name.lower()


class HelperOrgan(IntEnum):
    """Value of a pixel in label maps for training: organs that help to locate the pancreas, and are never reported."""

    LIVER = 10
    KIDNEYS = 11
    SPLEEN = 12
    STOMACH = 13
    DUODENUM = 14


HELPERS_UNKNOWN = 200
"""Value of background in label maps that do not outline the helper organs: no pancreas, perhaps one of them."""

COLOURS: dict[Label, str] = {Label.PANCREAS: "#39d98a", Label.TUMOUR: "#ff5c5c"}
"""Contour colours (CSS hex), chosen to stand apart on grey CT for colour-blind readers too."""


class Concept(NamedTuple):
    """A concept of SNOMED CT, in the words of DICOM (PS3.16 Annex D)."""

    code: str
    meaning: str


class Meaning(NamedTuple):
    """What a label stands for, as DICOM asks it (PS3.3 C.8.20.2).

    Attributes:
        category: Of CID 7150 "Segmentation Property Categories".
        kind: What the voxels are.
        region: Where it lies, if the kind does not say.
    """

    category: Concept
    kind: Concept
    region: Concept | None = None


_PANCREAS = Concept("15776009", "Pancreas")
MEANINGS: dict[Label, Meaning] = {
    Label.PANCREAS: Meaning(Concept("91723000", "Anatomical Structure"), _PANCREAS),
    Label.TUMOUR: Meaning(
        Concept("49755003", "Morphologically Abnormal Structure"), Concept("108369006", "Neoplasm"), _PANCREAS
    ),
}
"""SNOMED CT codes of the labels."""

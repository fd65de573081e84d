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
        """Lower-case English name, as in reports."""
        return self.name.lower()


class HelperOrgan(IntEnum):
    """Pixel values in label maps for training: organs that help to locate the pancreas and are never reported."""

    LIVER = 10
    KIDNEYS = 11
    SPLEEN = 12
    STOMACH = 13
    DUODENUM = 14


HELPERS_UNKNOWN = 200
"""Background in label maps without outlines of the helper organs: no pancreas, but perhaps one of these organs."""

COLOURS: dict[Label, str] = {Label.PANCREAS: "#39d98a", Label.TUMOUR: "#ff5c5c"}
"""Contour colours (CSS hex) that colour-blind readers can also distinguish on grey CT."""


class Concept(NamedTuple):
    """A concept of SNOMED CT, in the words of DICOM (PS3.16 Annex D)."""

    code: str
    meaning: str


class Meaning(NamedTuple):
    """Meaning of a label for DICOM (PS3.3 C.8.20.2).

    Attributes:
        category: Concept of CID 7150 "Segmentation Property Categories".
        kind: Kind of structure.
        region: Its anatomical region, if the kind does not name it.
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

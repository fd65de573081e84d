"""Meaning of the values of a label map, or of a picture's mask."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pancascade.labels import HelperOrgan, Label


class Structure(StrEnum):
    """Structure outlined in a data set."""

    PANCREAS = "pancreas"
    TUMOUR = "tumour"
    VEIN = "vein"
    ARTERY = "artery"
    PANCREATIC_DUCT = "pancreatic duct"
    BILE_DUCT = "bile duct"
    OTHER = "other"

    @property
    def label(self) -> Label:
        """Label in training: the pancreatic duct is pancreas, vessels and the bile duct are background."""
        if self in (Structure.PANCREAS, Structure.PANCREATIC_DUCT):
            return Label.PANCREAS
        return Label.TUMOUR if self is Structure.TUMOUR else Label.BACKGROUND


LabelMapping = Mapping[int, Structure]
"""Structure of each value above 0 of a label map."""

OURS: LabelMapping = {1: Structure.PANCREAS, 2: Structure.TUMOUR}
"""Values of pancascade's own masks, and of MSD Task07."""

PANORAMA: LabelMapping = {
    1: Structure.TUMOUR,
    2: Structure.VEIN,
    3: Structure.ARTERY,
    4: Structure.PANCREAS,
    5: Structure.PANCREATIC_DUCT,
    6: Structure.BILE_DUCT,
}
"""PANORAMA: lesion, veins, arteries, parenchyma, pancreatic duct, common bile duct."""

StructureName = Literal["pancreas", "tumour", "liver", "kidneys", "spleen", "stomach", "duodenum"]
"""Names of structures in a picture's mask: a label, or an organ that helps to locate the pancreas."""

_BY_NAME: dict[str, Label | HelperOrgan] = {one.name.lower(): one for one in (*Label, *HelperOrgan)}


def named_structures(names: Mapping[int, StructureName] | None) -> dict[int, Label | HelperOrgan] | None:
    """Return the label or helper organ of each value of a picture's mask; None stays None.

    Args:
        names: Name of the structure of each value.
    """
    return None if names is None else {value: _BY_NAME[name] for value, name in names.items()}

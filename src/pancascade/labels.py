"""Label ids of every mask that pancascade writes, with their names and colours."""

from enum import IntEnum


class Label(IntEnum):
    """Value of a voxel in a segmentation."""

    BACKGROUND = 0
    PANCREAS = 1
    TUMOUR = 2

    @property
    def title(self) -> str:
        """Lower-case English name, as written in reports."""
        return self.name.lower()


COLOURS: dict[Label, str] = {Label.PANCREAS: "#39d98a", Label.TUMOUR: "#ff5c5c"}
"""Contour colours (CSS hex), chosen to stand apart on grey CT for colour-blind readers too."""

"""Size and position of each label of a mask: voxels, volumes, boxes."""

from typing import Any

import numpy as np

from pancascade.imaging.volume import Box, Volume
from pancascade.labels import Label


def label_sizes(mask: Volume) -> dict[str, dict[str, Any]]:
    """Return size and position of each label.

    Args:
        mask: Labels (I, J, K), ids of `Label`.

    Returns:
        By label title, and for ``pancreas_with_tumour``: ``voxels``, ``volume_ml``, and ``box_mm``, the smallest
        and largest RAS+ coordinates of its outer voxel edges, or None for an empty label.
    """
    parts: dict[str, tuple[Label, ...]] = {
        Label.PANCREAS.title: (Label.PANCREAS,),
        Label.TUMOUR.title: (Label.TUMOUR,),
        "pancreas_with_tumour": (Label.PANCREAS, Label.TUMOUR),
    }
    around = Box.around(mask.voxels)  # passes over the whole mask are what takes time
    return {title: _measure_one(mask, labels, around) for title, labels in parts.items()}


def _measure_one(mask: Volume, labels: tuple[Label, ...], around: Box | None) -> dict[str, Any]:
    inside = np.zeros((1, 1, 1), bool) if around is None else np.isin(mask.voxels[around.slices], labels)
    voxels = int(np.count_nonzero(inside))
    box = Box.around(inside)
    corners = None
    if box is not None and around is not None:
        box = box.shift(around.start)
        low, high = box.corners_mm(mask.affine)
        corners = {"min": [round(v, 2) for v in low], "max": [round(v, 2) for v in high]}
    return {"voxels": voxels, "volume_ml": round(voxels * mask.voxel_volume_ml, 3), "box_mm": corners}

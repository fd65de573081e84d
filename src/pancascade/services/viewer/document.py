"""The data of a result for the viewer's page, except the pictures."""

from pathlib import Path
from typing import Any

import numpy as np

from pancascade.labels import Label
from pancascade.results.measurements import Lesion
from pancascade.results.result import Result, read_result
from pancascade.results.result_files import require_whole
from pancascade.services.viewer.pictures import CT, FILES, MASK, Pictures


def viewer_document(result: Path, *, scan: bool = True, corrections: bool = False, author: str = "") -> dict[str, Any]:
    """Return the contents of ``viewer.json``: names, notices, measurements, lesions, files.

    Positions are in mm in the scan's own coordinates (RAS+), as in the NIfTI files.

    Args:
        result: Folder of `pancascade segment --out`.
        scan: Whether the scan is available (`Pictures` has it).
        corrections: Whether an edited mask can be sent.
        author: Initial name of the reader in the form.

    Raises:
        UnreadableError: The folder holds no result, or files that were not written with it.
    """
    read = read_result(result)
    require_whole(result, read, shown=FILES)
    pictures = Pictures(result)
    return {
        "scan": read.scan,
        "model": read.model,
        "use": read.use,
        "created": read.created,
        "notices": [{"severity": one.severity, "sentence": one.sentence} for one in _worst_first(read)],
        "measurements": _measurements(read),
        "lesions": [_lesion(lesion) for lesion in read.pancreas_and_lesions.lesions],
        "centre_mm": _centre_mm(read),
        "thresholds": {"pancreas": read.thresholds.organ, "tumour": read.thresholds.tumour},
        "voxel_ml": abs(float(np.linalg.det(np.array(read.grid.affine)[:3, :3]))) / 1000,
        "files": {"ct": CT if scan else None, "mask": MASK, "probabilities": pictures.probabilities()},
        "corrections": corrections,
        "author": author,
    }


def _worst_first(result: Result) -> list[Any]:
    return sorted(result.notices, key=lambda notice: notice.severity != "warning")


def _measurements(result: Result) -> list[tuple[str, str]]:
    organ, reported = result.pancreas_and_lesions.organ, []
    for name, title in (("pancreas_with_tumour", "Pancreas with tumour"), ("tumour", "Tumour")):
        volume = result.measurements.get(name, {}).get("volume_ml")
        if volume is not None:
            reported.append((title, f"{volume:.1f} mL"))
    if organ is not None and organ.length_mm is not None:
        reported.append(("Length", f"{organ.length_mm:.0f} mm"))
    if organ is not None and organ.mean_hu is not None:
        reported.append(("Mean density", f"{organ.mean_hu:.0f} HU"))
    if result.location is not None:
        reported.append(("Confidence of the location", f"{result.location.confidence:.2f}"))
    if result.tumour_score is not None:
        reported.append(("Tumour score", f"{result.tumour_score:.2f}"))
    return reported


def _lesion(lesion: Lesion) -> dict[str, Any]:
    longest = f"{lesion.diameters.long_mm:.0f}"
    confidence = "–" if lesion.confidence is None else f"{lesion.confidence:.2f}"
    return {
        "centre_mm": list(lesion.centroid_mm),
        "cells": [str(lesion.number), lesion.part or "–", f"{lesion.volume_ml:.1f}", longest, confidence],
    }


def _centre_mm(result: Result) -> list[float] | None:
    """Return the middle of the organ's box, for the crosshair in a result without lesions."""
    for name in ("pancreas_with_tumour", Label.PANCREAS.title):
        box = result.measurements.get(name, {}).get("box_mm")
        if box:
            return [(low + high) / 2 for low, high in zip(box["min"], box["max"], strict=True)]
    return None

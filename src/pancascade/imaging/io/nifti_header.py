"""Checks of redundant values in a NIfTI header for contradictions."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.imageglobals import logger as nibabel_logger
from nibabel.spatialimages import HeaderDataError

from pancascade.errors import GeometryError
from pancascade.messages.notices import Notice

_logger = logging.getLogger(__name__)

# The quaternion has single precision, so smaller differences are noise.
_APART = 0.5
"""Largest difference of a corner voxel, as a share of the smallest spacing."""
_OTHER_SPACING = 0.01

Array = npt.NDArray[np.float64]


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress what nibabel and NumPy print about a damaged header; serious damage is refused elsewhere."""
    nibabel_logger.addFilter(_drop)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        nibabel_logger.removeFilter(_drop)


def _drop(_: logging.LogRecord) -> bool:
    return False


def require_spacing(path: Path, header: nib.Nifti1Header) -> None:
    """Refuse a spacing that nibabel would silently replace by 1 mm.

    Args:
        path: The file.
        header: Header as nibabel reads it.

    Raises:
        GeometryError: no sform, and a spacing that is 0 or less or NaN.
    """
    if int(header["sform_code"]) > 0:
        return
    with nib.openers.ImageOpener(str(path)) as file:
        raw = type(header).from_fileobj(file, check=False)
    for axis, spacing_mm in enumerate(raw["pixdim"][1:4]):
        if not spacing_mm > 0:
            raise GeometryError(
                f"{path}: voxel spacing is {spacing_mm:g} along axis {axis}, the header is damaged. "
                "Re-export the scan.",
                code="spacing_impossible",
            )
    if int(header["qform_code"]) == 0:
        _logger.warning("%s: the header has no orientation; left and right are a guess.", path)


def contradictions(path: Path, header: nib.Nifti1Header) -> list[Notice]:
    """Return a warning if the sform, which is used, contradicts the qform or the spacing.

    Other programs may use the qform or the spacing.

        path: The file; its name starts the sentence.
        header: Header as nibabel reads it.

    Returns:
        One warning ``header_contradicts``, or nothing.
    """
    if int(header["sform_code"]) <= 0:
        return []
    taken = np.asarray(header.get_sform(), np.float64)
    other = "qform" if int(header["qform_code"]) > 0 else "spacing (pixdim)"
    with np.errstate(all="ignore"):
        how = _difference(taken, header) if other == "qform" else _spacings(taken, _pixdim(header))
    if not how:
        return []
    return [
        Notice(
            code="header_contradicts",
            about="input",
            sentence=f"{path}: sform and {other} contradict each other ({how}); the sform was taken. Check sides and "
            "sizes.",
        )
    ]


def _difference(taken: Array, header: nib.Nifti1Header) -> str:
    """Return in a few words how the qform differs from the sform; empty if they agree."""
    try:
        other = np.asarray(header.get_qform(), np.float64)
    except (HeaderDataError, ValueError, ArithmeticError):
        return "the qform is damaged"
    ends: Sequence[tuple[int, int]] = [(0, int(size) - 1) for size in header.get_data_shape()[:3]]
    corners = np.array(list(itertools.product(*ends)), np.float64)
    between = taken - other
    apart_mm = float(np.linalg.norm(corners @ between[:3, :3].T + between[:3, 3], axis=1).max())
    # This form makes NaN count as a difference.
    if apart_mm <= _APART * float(np.linalg.norm(taken[:3, :3], axis=0).min()):
        return ""
    if np.linalg.det(taken[:3, :3]) * np.linalg.det(other[:3, :3]) < 0:
        return "they are mirror images"
    return _spacings(taken, np.linalg.norm(other[:3, :3], axis=0)) or f"up to {apart_mm:.3g} mm apart"


def _spacings(taken: Array, other_mm: Any) -> str:
    spacing_mm = np.linalg.norm(taken[:3, :3], axis=0)
    if (np.abs(spacing_mm - other_mm) <= _OTHER_SPACING * spacing_mm).all():
        return ""
    first, second = (" x ".join(f"{mm:.3g}" for mm in values) for values in (spacing_mm, other_mm))
    return f"{first} against {second} mm"


def _pixdim(header: nib.Nifti1Header) -> Array:
    return np.abs(np.asarray(header["pixdim"][1:4], np.float64))

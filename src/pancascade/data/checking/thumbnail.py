"""A small image of a case: the axial slice with most tumour or pancreas, and the coronal view."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import Box, Volume, reorient
from pancascade.labels import COLOURS, Label

SIDE = 128
WINDOW = Window(lower_hu=-150, upper_hu=250)
GREYS = 64
HALF_INSIDE = 96
"""A little less than half coverage of a pixel, so that a small lesion keeps its contour."""

# A fixed palette, because a library's automatic palette drops the few pixels of a contour.
_PALETTE = [
    *(level * 255 // (GREYS - 1) for level in range(GREYS) for _ in "RGB"),
    *(part for colour in COLOURS.values() for part in ImageColor.getrgb(colour)),
]


def draw_thumbnail(scan: Volume, labels: NDArray[np.uint8] | None) -> str:
    """Return a PNG in base64: the axial slice with most tumour or else pancreas; for a scan also the coronal view.

    The patient's right is on the left; contours are those of the labels, in the coronal view those of their projection.

    Args:
        scan: (I, J, K) HU.
        labels: (I, J, K) ids of `pancascade.labels.Label`; None without a label map.
    """
    scan_lps = reorient(scan, "LPS")
    marked = None if labels is None else reorient(scan.with_voxels(labels), "LPS").voxels
    column_mm, row_mm, slice_mm = scan_lps.spacing_mm
    k = _chosen_slice(marked, scan_lps.shape[2])
    shown = scan_lps.voxels[:, :, k].T
    pictures = [_picture(shown, None if marked is None else marked[:, :, k].T, (row_mm, column_mm))]
    if scan_lps.shape[2] > 1:
        shadow = None if marked is None else marked.max(axis=1).T[::-1]
        slab = scan_lps.voxels[:, _rows_of_organ(marked, scan_lps.shape[1]), :]
        front = slab.clip(int(WINDOW.lower_hu), int(WINDOW.upper_hu)).mean(axis=1).T[::-1]
        pictures.append(_picture(front, shadow, (slice_mm, column_mm)))
    high, wide = max(len(one) for one in pictures), sum(one.shape[1] for one in pictures)
    sheet = np.zeros((high, wide), np.uint8)
    left = 0
    for one in pictures:
        sheet[: len(one), left : left + one.shape[1]] = one
        left += one.shape[1]
    packed = io.BytesIO()
    picture = Image.fromarray(sheet)
    picture.putpalette(_PALETTE)
    picture.save(packed, format="PNG", optimize=True)
    return base64.b64encode(packed.getvalue()).decode("ascii")


def _rows_of_organ(marked: NDArray[np.uint8] | None, count: int) -> slice:
    """Return the slab from front to back that the coronal view averages; the middle without an organ."""
    box = None if marked is None else Box.around(marked)
    first, last = (count * 2 // 5, count * 3 // 5) if box is None else (box.start[1], box.stop[1])
    # About ten rows are enough for a mean, and save most of the time.
    return slice(first, max(last, first + 1), max(1, (last - first) // 10))


def _chosen_slice(marked: NDArray[np.uint8] | None, count: int) -> int:
    if marked is None:
        return count // 2
    box = Box.around(marked)
    if box is None:
        return count // 2
    organ = marked[box.slices]
    tumour = np.count_nonzero(organ == Label.TUMOUR, axis=(0, 1))
    area = tumour if tumour.any() else np.count_nonzero(organ, axis=(0, 1))
    return box.start[2] + int(np.argmax(area))


def _picture(hu: NDArray[Any], labels: NDArray[np.uint8] | None, spacing_mm: tuple[float, float]) -> NDArray[np.uint8]:
    """Return indices of `_PALETTE`, at most `SIDE` square pixels along each axis."""
    rows_mm, columns_mm = hu.shape[0] * spacing_mm[0], hu.shape[1] * spacing_mm[1]
    scale = SIDE / max(rows_mm, columns_mm)
    size = max(1, round(columns_mm * scale)), max(1, round(rows_mm * scale))
    grey = Image.fromarray((255 * WINDOW.apply(hu)).astype(np.uint8)).resize(size, Image.Resampling.BOX)
    picture: NDArray[np.uint8] = np.asarray(grey) // (256 // GREYS)
    if labels is None:
        return picture
    for index, label in enumerate(COLOURS):
        inside = labels == label if label == Label.TUMOUR else labels > 0
        shrunk = Image.fromarray(inside.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
        small = np.asarray(shrunk) > HALF_INSIDE
        picture[small & ~_eroded(small)] = GREYS + index
    return picture


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1)
    return padded[1:-1, 1:-1] & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]

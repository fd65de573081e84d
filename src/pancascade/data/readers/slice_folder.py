"""Slice folders: ``index.csv``, ``images/NAME.jpg|png`` (8-bit), ``masks/NAME.png``.

The index may give the pixel spacing of each picture in a column ``pixel_mm``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pancascade.data.readers.case import AxialSlice, Case
from pancascade.errors import DataError
from pancascade.files.csv_tables import TableRow, read_table
from pancascade.files.file_names import find_path, is_file
from pancascade.files.picture_faults import PICTURE_FAULTS
from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import Box
from pancascade.labels import HelperOrgan, Label


@dataclass(frozen=True)
class _Pictures:
    """Reading options for the pictures of a folder; see `slice_folder`."""

    window: Window
    flip_rows: bool
    label: Label
    mask_values: Mapping[int, Label | HelperOrgan] | None
    without_masks: bool
    region_margin: int | None
    pixel_mm: float | None


def slice_folder(
    folder: Path,
    *,
    window: Window,
    flip_rows: bool = False,
    label: Label = Label.PANCREAS,
    mask_values: Mapping[int, Label | HelperOrgan] | None = None,
    without_masks: bool = False,
    region_margin: int | None = None,
    pixel_mm: float | None = None,
    rows_with: Mapping[str, str] | None = None,
) -> list[Case]:
    """Return the cases of a folder of axial pictures, one case per picture.

    Args:
        folder: Folder with ``index.csv`` with the columns name and patient, ``images`` and ``masks``.
        window: Hounsfield units of grey 0 and grey 255.
        flip_rows: Whether the pictures show the patient's back at the top and must be flipped.
        label: Label of mask pixels above 0.
        mask_values: Label of each value of a mask, others are background; replaces ``label``.
        without_masks: Whether there are no masks, because no picture shows a pancreas.
        region_margin: Crop each picture to its mask's box with this margin in pixels; None keeps it whole.
        pixel_mm: Pixel spacing of pictures whose row has none; None if unknown.
        rows_with: Read only rows of the index with these values in these columns.

    Raises:
        DataError: The index or a picture is missing or cannot be read, or the index lacks a column.
    """
    pictures = _Pictures(window, flip_rows, label, mask_values, without_masks, region_margin, pixel_mm)
    index = folder / "index.csv"
    if not index.is_file():
        raise DataError(f"{index}: no such file. A slice folder needs index.csv, images/ and masks/.")
    wanted = {column.strip().lower(): value for column, value in (rows_with or {}).items()}
    rows = read_table(index, required=("name", "patient"), columns=tuple(wanted))
    return [
        _case(folder, row, pictures) for row in rows if all(row[column] == value for column, value in wanted.items())
    ]


def _case(folder: Path, row: TableRow, pictures: _Pictures) -> Case:
    name, patient = row.file_name("name"), row["patient"]
    image, mask = _image_of(folder, name), find_path(folder / "masks", f"{name}.png")
    pixel_mm = _pixel_mm(row) or pictures.pixel_mm
    return Case(
        name,
        patient,
        folder.name,
        partial(_read_slice, image, mask, name=name, patient=patient, pictures=pictures, pixel_mm=pixel_mm),
        files=(image,) if pictures.without_masks else (image, mask),
    )


def _pixel_mm(row: TableRow) -> float | None:
    if not row["pixel_mm"]:
        return None
    value = row.number("pixel_mm")
    if not 0 < value < math.inf:
        raise row.fault(f"pixel_mm is {row['pixel_mm']!r}, expected millimetres above 0.")
    return value


def _image_of(folder: Path, name: str) -> Path:
    names = [f"{name}{suffix}" for suffix in (".png", ".jpg", ".jpeg")]
    for find in (Path.joinpath, find_path):  # other spellings of names are tried only if these do not exist
        found = next((path for path in (find(folder / "images", name) for name in names) if is_file(path)), None)
        if found is not None:
            return found
    return folder / "images" / names[0]


def _read_slice(
    image: Path, mask: Path, *, name: str, patient: str, pictures: _Pictures, pixel_mm: float | None
) -> list[AxialSlice]:
    grey = _picture(image)
    labels = np.zeros(grey.shape, np.uint8) if pictures.without_masks else _labels(mask, pictures)
    if labels.shape != grey.shape:
        raise DataError(f"{mask}: {labels.shape} pixels, but its image has {grey.shape}.")
    if pictures.flip_rows:
        grey, labels = grey[::-1], labels[::-1]
    box = None if pictures.region_margin is None else Box.around(labels > 0)
    if box is not None and pictures.region_margin is not None:
        region = box.expand(pictures.region_margin).clip(labels.shape)
        grey, labels = grey[region.slices], labels[region.slices]
    spacing_mm = None if pixel_mm is None else (pixel_mm, pixel_mm)
    hu = pictures.window.to_hu(grey)
    return [AxialSlice(name, patient, hu, labels, spacing_mm, flipped_rows=pictures.flip_rows)]


def _labels(mask: Path, pictures: _Pictures) -> NDArray[np.uint8]:
    if pictures.mask_values is None:
        return np.where(_picture(mask) > 0, np.uint8(pictures.label), np.uint8(0))
    values = _picture(mask, as_stored=True)
    labels = np.zeros(values.shape, np.uint8)
    for value, label in pictures.mask_values.items():
        labels[values == value] = label
    return labels


def _picture(path: Path, *, as_stored: bool = False) -> NDArray[np.uint8]:
    """Read grey values (H, W), or the stored values: palette indices, or 0 and 1 of a bilevel picture."""
    try:
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                raise DataError(f"{path}: has more than 8 bits a pixel. Save it as 8-bit grey over a window you name.")
            if as_stored and picture.mode not in ("1", "L", "P"):
                raise DataError(f"{path}: has colours, and the values of a mask are asked for. Save it as 8-bit grey.")
            shown = np.asarray(picture if as_stored else picture.convert("L"))
            return shown.astype(np.uint8)
    except FileNotFoundError as error:
        raise DataError(f"{path}: listed in index.csv but missing. Copy it or remove its row.") from error
    except PICTURE_FAULTS as error:
        raise DataError(f"{path}: not a readable picture ({error}). Copy it again.") from error

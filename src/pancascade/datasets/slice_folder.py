"""Slice folders: ``index.csv``, ``images/NAME.jpg|png`` (8-bit), ``masks/NAME.png``."""

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pancascade.datasets.case import AxialSlice, Case
from pancascade.errors import DataError
from pancascade.io import read_table
from pancascade.io.file_names import find_path, is_file
from pancascade.labels import Label
from pancascade.preprocessing import Window
from pancascade.volume import Box


def slice_folder(
    folder: Path,
    *,
    window: Window,
    flip_rows: bool = False,
    label: Label = Label.PANCREAS,
    region_margin: int | None = None,
) -> list[Case]:
    """Cases of a folder of axial pictures, one case a picture.

    Args:
        folder: Holds ``index.csv`` with the columns name and patient, ``images`` and ``masks``.
        window: Hounsfield units of grey 0 and grey 255.
        flip_rows: The pictures show the patient's back at the top and are turned over.
        label: What a mask pixel > 0 means.
        region_margin: Cut each picture to its mask's box with so many pixels around; None keeps it whole.

    Raises:
        DataError: The index or a picture is missing or cannot be read.
    """
    index = folder / "index.csv"
    if not index.is_file():
        raise DataError(f"{index}: no such file. A slice folder needs index.csv, images/ and masks/.")
    rows = [(row.file_name("name"), row["patient"]) for row in read_table(index, required=("name", "patient"))]
    read = partial(_read_slice, folder, window=window, flip_rows=flip_rows, label=label, margin=region_margin)
    return [
        Case(
            name,
            patient,
            folder.name,
            partial(read, name, patient),
            files=(_image_of(folder, name), _mask_of(folder, name)),
        )
        for name, patient in rows
    ]


def _image_of(folder: Path, name: str) -> Path:
    names = [f"{name}{suffix}" for suffix in (".png", ".jpg", ".jpeg")]
    for find in (Path.joinpath, find_path):  # names are looked for in other spellings only where these are not there
        found = next((path for path in (find(folder / "images", name) for name in names) if is_file(path)), None)
        if found is not None:
            return found
    return folder / "images" / names[0]


def _mask_of(folder: Path, name: str) -> Path:
    return find_path(folder / "masks", f"{name}.png")


def _read_slice(
    folder: Path,
    name: str,
    patient: str,
    *,
    window: Window,
    flip_rows: bool,
    label: Label,
    margin: int | None,
) -> list[AxialSlice]:
    grey = _picture(_image_of(folder, name))
    mask = _picture(_mask_of(folder, name)) > 0
    if mask.shape != grey.shape:
        raise DataError(f"{folder / 'masks' / name}.png: {mask.shape} pixels, but its image has {grey.shape}.")
    if flip_rows:
        grey, mask = grey[::-1], mask[::-1]
    box = None if margin is None else Box.around(mask)
    if box is not None and margin is not None:
        region = box.expand(margin).clip(mask.shape)
        grey, mask = grey[region.slices], mask[region.slices]
    labels = np.where(mask, np.uint8(label), np.uint8(0))
    return [AxialSlice(name, patient, window.to_hu(grey), labels, None)]


def _picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                raise DataError(f"{path}: has more than 8 bits a pixel. Save it as 8-bit grey over a window you name.")
            return np.asarray(picture.convert("L"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: listed in index.csv but missing. Copy it or remove its row.") from error
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path}: not a readable picture ({error}). Copy it again.") from error

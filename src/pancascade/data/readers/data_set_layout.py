"""Recognition of a folder's layout, and reading of a data set as downloaded."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pancascade.data.readers.case import Case
from pancascade.data.readers.corrected_results import corrected_results, holds_corrections
from pancascade.data.readers.dataset_json import read_dataset_json
from pancascade.data.readers.msd import msd
from pancascade.data.readers.nih_pancreas_ct import nih_pancreas_ct
from pancascade.data.readers.nnunet_raw import nnunet_raw
from pancascade.data.readers.panorama import panorama
from pancascade.data.readers.prepared_store import prepared_store
from pancascade.data.readers.region_folder import region_folder
from pancascade.data.readers.slice_folder import slice_folder
from pancascade.data.readers.volume_list import COLUMNS, volume_list
from pancascade.data.store.manifest import is_store
from pancascade.errors import DataError, listed
from pancascade.files.given_paths import given_path, real_path
from pancascade.imaging.preprocessing import Window


class Layout(StrEnum):
    """Layout of a data set in its folder; the names are those of a recipe's readers."""

    MSD = "msd"
    NIH_PANCREAS_CT = "nih_pancreas_ct"
    PANORAMA = "panorama"
    NNUNET_RAW = "nnunet_raw"
    SLICE_FOLDER = "slice_folder"
    REGION_FOLDER = "region_folder"
    VOLUME_LIST = "volume_list"
    STORE = "store"
    CORRECTIONS = "corrections"


@dataclass(frozen=True)
class PictureReading:
    """Reading options for pictures of a slice folder, which the files do not contain.

    Attributes:
        window: Hounsfield units of grey 0 and grey 255.
        flip_rows: Whether the pictures show the patient's back at the top and must be flipped.
    """

    window: Window = field(default_factory=Window)
    flip_rows: bool = False


READERS: dict[Layout, Callable[[Path], list[Case]]] = {
    Layout.MSD: msd,
    Layout.NIH_PANCREAS_CT: nih_pancreas_ct,
    Layout.PANORAMA: panorama,
    Layout.NNUNET_RAW: nnunet_raw,
    Layout.REGION_FOLDER: region_folder,
    Layout.STORE: prepared_store,
    Layout.CORRECTIONS: corrected_results,
}
"""Readers that need only the folder."""

_NIH_PATIENT = "PANCREAS_[0-9][0-9][0-9][0-9]"


def _is_msd(path: Path) -> bool:
    return _is_nnunet_raw(path) and isinstance(read_dataset_json(path).get("training"), list)


def _is_nnunet_raw(path: Path) -> bool:
    return (path / "dataset.json").is_file()


def _is_slice_folder(path: Path) -> bool:
    return _is_region_folder(path) and (path / "images").is_dir()


def _is_region_folder(path: Path) -> bool:
    return (path / "index.csv").is_file()


def _is_nih_pancreas_ct(path: Path) -> bool:
    """Return whether a folder contains folders of patients, or is the folder of one patient."""
    itself = [path] if real_path(path).match(_NIH_PATIENT) else []
    return any(found.is_dir() for found in (*itself, *path.rglob(_NIH_PATIENT)))


def _is_panorama(path: Path) -> bool:
    return next(path.rglob("*_0000.nii.gz"), None) is not None


RECOGNISED: dict[Layout, Callable[[Path], bool]] = {
    Layout.STORE: is_store,
    Layout.MSD: _is_msd,
    Layout.NNUNET_RAW: _is_nnunet_raw,
    Layout.SLICE_FOLDER: _is_slice_folder,
    Layout.REGION_FOLDER: _is_region_folder,
    Layout.NIH_PANCREAS_CT: _is_nih_pancreas_ct,
    Layout.PANORAMA: _is_panorama,
    Layout.CORRECTIONS: holds_corrections,
}
"""Check of each layout by the names in a folder, in this order; the checks that list all files come last."""


def recognise(path: Path) -> Layout:
    """Return the layout of a data set, from the file names in its folder.

    Args:
        path: Folder of one data set, or the CSV of a volume list.

    Raises:
        DataError: No such path, or no known layout.
    """
    if path.is_file() and path.suffix.lower() == ".csv":
        return Layout.VOLUME_LIST
    if not path.is_dir():
        raise DataError(f"{path}: no such folder. Give the folder of a data set, or the CSV of a volume list.")
    found = next((layout for layout, is_it in RECOGNISED.items() if is_it(path)), None)
    if found is not None:
        return found
    below = [child.name for child in sorted(path.iterdir()) if child.is_dir() and _is_data_set(child)]
    hint = f"Give one of its data sets: {listed(below)}." if below else _expected()
    raise DataError(f"{path}: no known layout. {hint}")


def read_data_set(
    path: str | Path, *, layout: Layout | str | None = None, pictures: PictureReading | None = None
) -> list[Case]:
    """Return the cases of a data set, downloaded or the user's own; no image is opened.

    Args:
        path: Folder of one data set, or the CSV of a volume list, whose paths are relative to its folder.
        layout: Layout or its name; None recognises it.
        pictures: Reading options for pictures of a slice folder.

    Raises:
        DataError: No such path, no known layout, or a damaged index.
    """
    path = given_path(path, what="path")
    layout = recognise(path) if layout is None else _layout_named(layout)
    if layout is Layout.VOLUME_LIST:
        return volume_list(path, root=path.parent)
    if not path.is_dir():
        raise DataError(f"{path}: no such folder. Layout {layout} is a folder.")
    if layout is Layout.SLICE_FOLDER:
        reading = pictures or PictureReading()
        return slice_folder(path, window=reading.window, flip_rows=reading.flip_rows)
    return READERS[layout](path)


def _layout_named(name: str) -> Layout:
    try:
        return Layout(name)
    except ValueError as error:
        raise DataError(f"layout {name!r}: there is none of that name; known are {', '.join(Layout)}.") from error


def _is_data_set(folder: Path) -> bool:
    return _is_nnunet_raw(folder) or _is_region_folder(folder)


def _expected() -> str:
    return (
        "Known are MSD, nnU-Net, NIH Pancreas-CT and PANORAMA as they unpack, folders with index.csv, stores, "
        f"corrected results, and a CSV with the columns {', '.join(sorted(COLUMNS))}."
    )

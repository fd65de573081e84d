"""Stores made by ``pancascade data prepare``, for fast reading of single slices."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pancascade.data.readers.case import AxialSlice, Case, LabelledScan
from pancascade.data.readers.structure import OURS
from pancascade.data.store.arrays import read_some, read_stack
from pancascade.data.store.grids import empty_on
from pancascade.data.store.index import read_index
from pancascade.data.store.manifest import read_manifest
from pancascade.data.store.options import Keep, keeps
from pancascade.data.store.pictures import read_png
from pancascade.data.store.prepared_case import FileDigest, PreparedCase, PreparedSlice, StoreGrid
from pancascade.errors import DataError, GeometryError
from pancascade.imaging.preprocessing.window import Window
from pancascade.imaging.volume import Volume, restore


def prepared_store(folder: Path, *, keep: Keep = "all") -> list[Case]:
    """Return the cases of a store, with the slices and labels of the data set, perhaps resampled.

    Cases of volumes have a `LabelledScan`: on the original grid, or on the resampled grid. Slices that are not kept are
    never read. No voxels are read yet, but the existence and size of every file are checked.

    Args:
        folder: Folder of the store.
        keep: Slices to read; a case without such slices stays in the list. Scans are always whole.

    Raises:
        DataError: No store, not finished, of another format, or a file is missing or has another size.
    """
    manifest = read_manifest(folder)
    if manifest.state != "finished":
        raise DataError(f"{folder}: preparing was interrupted. Run `pancascade data prepare` again; it continues.")
    _require_whole(folder, manifest.files)
    window = manifest.options.picture_window if manifest.options.kind == "pictures" else None
    whole = manifest.options.kind == "volumes"
    return [_case(folder, case, keep=keep, window=window, whole=whole) for case in read_index(folder, manifest.index)]


def _require_whole(folder: Path, files: Sequence[FileDigest]) -> None:
    for file in files:
        path = folder / file.path
        try:
            size = path.stat().st_size
        except OSError as error:
            raise DataError(
                f"{path}: missing, but the store lists it. Prepare the data set again; it will be redone."
            ) from error
        if size != file.size:
            raise DataError(
                f"{path}: has {size} bytes, but {file.size} were written. "
                "Prepare the data set again; it will be redone."
            )


def _case(folder: Path, case: PreparedCase, *, keep: Keep, window: Window | None, whole: bool) -> Case:
    slices = tuple(
        one for one in case.slices if keeps(keep, pancreas_pixels=one.pancreas_pixels, tumour_pixels=one.tumour_pixels)
    )
    digests = {file.path: file.digest for file in case.files}
    _require_digests(case, slices, digests)
    read = partial(_read_slices, folder, slices, digests, patient=case.patient, window=window)
    files = tuple(folder / file.path for file in case.files)
    scan = _scan(case, files) if whole else None
    return Case(case.name, case.patient, case.source, read, scan, files)


def _require_digests(case: PreparedCase, slices: Sequence[PreparedSlice], digests: Mapping[str, str]) -> None:
    if any(not {one.image, one.labels} <= digests.keys() for one in slices):
        raise DataError(f"{case.name}: the store's index does not list its files. Prepare the data set again.")


def _read_slices(
    folder: Path, slices: Sequence[PreparedSlice], digests: Mapping[str, str], *, patient: str, window: Window | None
) -> list[AxialSlice]:
    if not slices:
        return []
    images: Sequence[NDArray[np.int16]]
    labels: Sequence[NDArray[np.uint8]]
    if window is None:
        positions = [one.position for one in slices]
        images, labels = (
            read_some(folder / name, positions, digest=digests[name]) for name in (slices[0].image, slices[0].labels)
        )
    else:
        images = [window.to_hu(read_png(folder / one.image, digest=digests[one.image])) for one in slices]
        labels = [read_png(folder / one.labels, digest=digests[one.labels]) for one in slices]
    slice_mm = _slice_mm(slices)
    return [
        AxialSlice(one.name, patient, hu, marked, one.spacing_mm, slice_mm)
        for one, hu, marked in zip(slices, images, labels, strict=True)
    ]


def _slice_mm(slices: Sequence[PreparedSlice]) -> float | None:
    """Distance from one slice to the next; None if it is unknown, or slices in between are not read."""
    heights_mm = [one.z_mm for one in slices if one.z_mm is not None]
    numbers = [one.number for one in slices if one.number is not None]
    if len(slices) < 2 or not len(heights_mm) == len(numbers) == len(slices):
        return None
    steps_mm = np.diff(heights_mm)
    even = bool(np.all(np.diff(numbers) == 1)) and np.allclose(steps_mm, steps_mm[0], rtol=0.01) and steps_mm[0] > 0
    return float(steps_mm[0]) if even else None


def _scan(case: PreparedCase, files: tuple[Path, ...]) -> LabelledScan:
    image, label = files
    if case.grid is None or case.scan_grid is None:
        raise DataError(f"{image}: the index has no grid. Prepare the data set again.")
    hu, marked = (
        partial(_read_volume, path, digest=file.digest, grid=case.grid, scan_grid=case.scan_grid)
        for path, file in zip(files, case.files, strict=True)
    )
    return LabelledScan(image, label, OURS, hu, partial(_read_labels, marked))


def _read_volume(path: Path, *, digest: str, grid: StoreGrid, scan_grid: StoreGrid) -> Volume:
    """Return the volume on its scan's original grid, or, if resampled, on the store's grid."""
    stored = Volume(read_stack(path, digest=digest).T, np.array(grid.affine), path)
    try:
        turned = restore(stored, empty_on(scan_grid))
    except GeometryError:
        return stored
    return Volume(turned.voxels, turned.affine, path)


def _read_labels(read: partial[Volume], _: Volume) -> Volume:
    return read()

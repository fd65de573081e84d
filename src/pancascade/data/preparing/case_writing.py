"""Writing of a case's slices to the files of a store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pancascade.data.preparing.case_reading import CaseReading, PlacedSlice
from pancascade.data.store.arrays import SliceStack, digest_of
from pancascade.data.store.names import ARRAYS, IMAGES, MASKS, file_name
from pancascade.data.store.pictures import as_grey, as_png
from pancascade.data.store.prepared_case import FileDigest, PreparedSlice
from pancascade.files.atomic import written_together
from pancascade.imaging.preprocessing.window import Window

Written = tuple[list[PreparedSlice], list[FileDigest]]
"""The slices and their files."""


def write_arrays(reading: CaseReading, *, store: Path, name: str) -> Written:
    """Write Hounsfield units and labels of all slices to two files.

    Args:
        reading: The case; its slices are consumed.
        store: Folder of the store.
        name: Name of the case.

    Raises:
        OutputError: A file cannot be written.
        DataError: The extra ``data`` is not installed.
    """
    if not reading.count or reading.shape is None:
        return [], []
    image, labels = (f"{ARRAYS}/{file_name(name)}_{what}.b2nd" for what in ("hu", "labels"))
    hu_stack = SliceStack(reading.count, shape=reading.shape, dtype=np.int16)
    label_stack = SliceStack(reading.count, shape=reading.shape, dtype=np.uint8)
    slices = []
    for position, placed in enumerate(reading.slices):
        hu_stack.put(position, placed.axial.hu)
        label_stack.put(position, placed.axial.labels)
        slices.append(_prepared(placed, position, image, labels))
    files = []
    for path, stack in ((image, hu_stack), (labels, label_stack)):
        digest, size = stack.write(store / path)
        files.append(FileDigest(path=path, digest=digest, size=size))
    return slices, files


def write_pictures(reading: CaseReading, *, store: Path, window: Window) -> Written:
    """Write a grey picture and a label picture (ids of `pancascade.labels.Label`) of each slice.

    Args:
        reading: The case; its slices are consumed.
        store: Folder of the store.
        window: Hounsfield units of grey 0 and grey 255.

    Raises:
        OutputError: A file cannot be written.
    """
    slices: list[PreparedSlice] = []
    files: list[FileDigest] = []
    moved: list[str] = []
    with _folders_written_together(store, moved) as (images, masks):
        for placed in reading.slices:
            name = f"{file_name(placed.axial.name)}.png"
            pair = ((images, IMAGES, as_grey(placed.axial.hu, window)), (masks, MASKS, placed.axial.labels))
            for folder, part, pixels in pair:
                content = as_png(pixels)
                (folder / name).write_bytes(content)
                files.append(FileDigest(path=f"{part}/{name}", digest=digest_of(content), size=len(content)))
            moved.append(name)
            slices.append(_prepared(placed, 0, f"{IMAGES}/{name}", f"{MASKS}/{name}"))
    return slices, files


@contextmanager
def _folders_written_together(store: Path, names: list[str]) -> Iterator[tuple[Path, Path]]:
    with (
        written_together(store / IMAGES, names=names) as images,
        written_together(store / MASKS, names=names) as masks,
    ):
        yield images, masks


def _prepared(placed: PlacedSlice, position: int, image: str, labels: str) -> PreparedSlice:
    axial = placed.axial
    height, width = axial.hu.shape
    return PreparedSlice(
        name=axial.name,
        position=position,
        number=placed.number,
        z_mm=placed.z_mm,
        shape=(height, width),
        spacing_mm=axial.spacing_mm,
        pancreas_pixels=placed.pancreas_pixels,
        tumour_pixels=placed.tumour_pixels,
        image=image,
        labels=labels,
    )

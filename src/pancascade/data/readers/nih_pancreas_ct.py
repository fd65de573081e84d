"""NIH Pancreas-CT from TCIA: one DICOM series per patient, label maps in NIfTI with different headers."""

import logging
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from pancascade.data.readers.case import Case, LabelledScan
from pancascade.data.readers.label_flips import AS_IT_IS, directions, right_way_round, turned
from pancascade.data.readers.structure import LabelMapping, Structure
from pancascade.errors import DataError
from pancascade.files.given_paths import real_path
from pancascade.imaging.io import read_dicom_folder, read_label_map
from pancascade.imaging.volume import Volume, reorient

logger = logging.getLogger(__name__)

MEANING: LabelMapping = {1: Structure.PANCREAS}
WITHDRAWN: dict[str, str] = {"PANCREAS_0025": "PANCREAS_0002", "PANCREAS_0070": "PANCREAS_0002"}
"""Scans that are copies of another patient's scan, cropped differently; TCIA withdrew them in September 2020."""

_PATIENT, _LABEL = re.compile(r"PANCREAS_(\d{4})"), re.compile(r"label(\d{4})\.nii(\.gz)?")


def nih_pancreas_ct(folder: Path, *, withdrawn: Literal["drop", "group"] = "drop") -> list[Case]:
    """Return the cases of NIH Pancreas-CT, one per patient.

    Searched at any depth: folders ``PANCREAS_0001`` with DICOM series below them, and ``label0001.nii.gz`` of
    ``TCIA_pancreas_labels-02-05-2017``. No image is opened; a missing label map is detected when the case is read.

    Args:
        folder: Folder with the download and the unpacked label maps.
        withdrawn: Handling of scans 25 and 70: ``drop`` them, or ``group`` them with patient 2, whose scan they repeat.

    Raises:
        DataError: There are no such folders.

    Source: Roth et al. 2015; TCIA, doi 10.7937/K9/TCIA.2016.tNB1kqBU, version of 2020-09-10: 80 patients.
    """
    folder = real_path(folder)  # a single patient's folder may be given as "."
    patients = {path.name: path for path in (folder, *sorted(folder.rglob("PANCREAS_*"))) if _is_patient(path)}
    labels = {match[1]: path for path in sorted(folder.rglob("label*")) if (match := _LABEL.fullmatch(path.name))}
    if not patients:
        raise DataError(f"{folder}: holds no folders PANCREAS_0001 and so on. Give the folder of the download.")
    cases = []
    for name, path in patients.items():
        if withdrawn == "drop" and name in WITHDRAWN:
            logger.warning("%s: left out; it repeats the scan of %s.", path, WITHDRAWN[name])
            continue
        number = name.removeprefix("PANCREAS_")
        label = labels.get(number, folder / "TCIA_pancreas_labels-02-05-2017" / f"label{number}.nii.gz")
        readers = (partial(read, label) for read in (read_label, read_filed_label))
        scan = LabelledScan(path, label, MEANING, partial(read_dicom_folder, path), *readers)
        cases.append(Case.of_scan(name, patient=WITHDRAWN.get(name, name), source="Pancreas-CT", scan=scan))
    return cases


def _is_patient(path: Path) -> bool:
    return path.is_dir() and _PATIENT.fullmatch(path.name) is not None


def read_label(label: Path, image: Volume) -> Volume:
    """Read a label map on the grid of its scan, with a correction of its orientation.

    Its header gives the order of the axes (left, anterior, inferior), but no origin and not always the spacing: the
    array is reoriented to the scan's axes and placed on its grid. If the label clearly shows no organ, but does after
    a flip of axes, it is flipped and a warning is logged.

    Args:
        label: NIfTI file.
        image: The scan, Hounsfield units.

    Raises:
        ScanError: The file cannot be read.
        DataError: The label map has another number of voxels than the scan.
    """
    found = read_filed_label(label, image)
    flips = right_way_round(image.voxels, found.voxels > 0, orientation=image.orientation)
    if flips != AS_IT_IS:
        axes = ", ".join(directions(flips, image.orientation))
        logger.warning("%s: its header is wrong; flipped: %s.", label, axes)
    return replace(found, voxels=turned(found.voxels, flips))


def read_filed_label(label: Path, image: Volume) -> Volume:
    """Read a label map on the grid of its scan, in its header's orientation.

    Args:
        label: NIfTI file.
        image: The scan, Hounsfield units.

    Raises:
        ScanError: The file cannot be read.
        DataError: The label map has another number of voxels than the scan.
    """
    found = reorient(read_label_map(label), image.orientation)
    if found.shape != image.shape:
        raise DataError(
            f"{label}: has {' × '.join(map(str, found.shape))} voxels, its scan {image.name} "
            f"{' × '.join(map(str, image.shape))}. Is it another patient's, or are slices of the series missing?"
        )
    return replace(found, affine=image.affine)

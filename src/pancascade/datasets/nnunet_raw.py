"""nnU-Net's raw layout: ``dataset.json``, ``imagesTr/CASE_0000.nii.gz``, ``labelsTr/CASE.nii.gz``."""

from pathlib import Path
from typing import Any

from pancascade.datasets.case import Case
from pancascade.datasets.dataset_json import read_dataset_json
from pancascade.datasets.scan_files import scan_files
from pancascade.datasets.structure import Meaning, structure_named
from pancascade.errors import DataError


def nnunet_raw(folder: Path) -> list[Case]:
    """Cases of a data set in nnU-Net's raw layout, one a case; the first channel must be the CT.

    Cases are taken from ``labelsTr``; whether their images are there is found out by reading them. Each case counts as
    a patient of its own: nnU-Net has no patients.

    Args:
        folder: Such as ``nnUNet_raw/Dataset007_Pancreas``.

    Raises:
        DataError: ``dataset.json`` is missing or damaged, the first channel is no CT, or labels are regions of several
            values.

    Source: nnU-Net v2, ``documentation/dataset_format.md``.
    """
    content = read_dataset_json(folder)
    channels = content.get("channel_names") or content.get("modality") or {}
    first = str(channels.get("0", "")).lower()
    if "ct" not in first:
        raise DataError(f"{folder / 'dataset.json'}: channel 0 is {first or 'not named'}, not CT.")
    ending = str(content.get("file_ending", ".nii.gz"))
    meaning = _meaning(content, folder)
    labels = sorted(path for path in (folder / "labelsTr").glob(f"*{ending}") if not path.name.startswith("."))
    if not labels:
        raise DataError(f"{folder / 'labelsTr'}: holds no {ending} files. Give the folder of one data set.")
    cases = []
    for label in labels:
        name = label.name.removesuffix(ending)
        image = folder / "imagesTr" / f"{name}_0000{ending}"
        scan = scan_files(image, label, meaning=meaning)
        cases.append(Case.of_scan(name, patient=name, source=folder.name, scan=scan))
    return cases


def _meaning(content: dict[str, Any], folder: Path) -> Meaning:
    labels = content.get("labels")
    if not isinstance(labels, dict) or not labels:
        raise DataError(f"{folder / 'dataset.json'}: names no labels.")
    meaning = {}
    for one, other in labels.items():
        # Version 2 writes {name: value}, version 1 {value: name}.
        value, name = (one, other) if str(one).isdigit() else (other, one)
        if isinstance(value, list):
            raise DataError(
                f"{folder / 'dataset.json'}: label {name!r} is a region of the values {value}. Give plain labels."
            )
        if int(value) != 0:
            meaning[int(value)] = structure_named(str(name))
    return meaning

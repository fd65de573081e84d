"""nnU-Net's raw layout: ``dataset.json``, ``imagesTr/CASE_0000.nii.gz``, ``labelsTr/CASE.nii.gz``."""

from pathlib import Path

from pancascade.data.readers.case import Case
from pancascade.data.readers.dataset_json import label_names, read_dataset_json, require_ct
from pancascade.data.readers.label_names import structures_of
from pancascade.data.readers.scan_files import scan_files
from pancascade.errors import DataError
from pancascade.files.file_names import abbreviated, case_key, case_name, find_path


def nnunet_raw(folder: Path) -> list[Case]:
    """Return the cases of a data set in nnU-Net's raw layout; the first channel must be the CT.

    Cases are taken from ``labelsTr``; missing images are detected on reading. Each case counts as its own patient,
    because nnU-Net has no patients.

    Args:
        folder: Folder of the data set, such as ``nnUNet_raw/Dataset007_Pancreas``.

    Raises:
        DataError: ``dataset.json`` is missing or damaged, the first channel is no CT, or labels are regions of several
            values.

    Source: nnU-Net v2, ``documentation/dataset_format.md``.
    """
    content = read_dataset_json(folder)
    require_ct(content, named=True)
    ending = str(content.get("file_ending", ".nii.gz"))
    meaning = structures_of(label_names(content))
    labels = [path for path in _files(folder / "labelsTr") if path.name.casefold().endswith(ending.casefold())]
    if not labels:
        raise DataError(
            f"labelsTr: holds no {abbreviated(ending)} files. Give the folder of one data set, or correct file_ending."
        )
    cases = []
    for label in labels:
        name = case_name(label)
        image = find_path(folder / "imagesTr", f"{name}_0000{ending}", key=case_key)
        scan = scan_files(image, label, meaning=meaning)
        cases.append(Case.of_scan(name, patient=name, source=folder.name, scan=scan))
    return cases


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))

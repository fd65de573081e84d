"""Medical Segmentation Decathlon as unpacked: ``dataset.json``, ``imagesTr``, ``labelsTr``."""

from pathlib import Path
from typing import Any

from pancascade.data.readers.case import Case
from pancascade.data.readers.case_names import distinct_names
from pancascade.data.readers.dataset_json import label_names, read_dataset_json, require_ct
from pancascade.data.readers.label_names import structures_of
from pancascade.data.readers.scan_files import scan_files
from pancascade.errors import DataError
from pancascade.files.file_names import abbreviated, case_key, find_path, is_possible


def msd(folder: Path) -> list[Case]:
    """Return the cases of a decathlon task, one per patient; labels 1 pancreas, 2 tumour in Task07.

    Images without a label (``imagesTs``) are left out. Only ``dataset.json`` is opened; missing files are detected
    when a case is read.

    Args:
        folder: Folder of the task, such as ``Task07_Pancreas``.

    Raises:
        DataError: ``dataset.json`` is missing or damaged.

    Source: Antonelli et al. 2022; 281 labelled and 139 unlabelled scans of Task07.
    """
    content = read_dataset_json(folder)
    require_ct(content, named=False)
    meaning = structures_of(label_names(content))
    listed = content.get("training")
    if not isinstance(listed, list) or not listed:
        raise DataError("dataset.json: lists no training cases. Unpack the archive again.")
    pairs = [(_listed(entry, "image"), _listed(entry, "label")) for entry in listed]
    cases = []
    for (image, label), name in zip(pairs, distinct_names([image for image, _ in pairs]), strict=True):
        # The archive lists .nii.gz; users may have unpacked the files, and nnU-Net 1 adds _0000 to the images' names.
        files = (find_path(folder, path, key=case_key) for path in (image, label))
        scan = scan_files(*files, meaning=meaning)
        cases.append(Case.of_scan(name, patient=name, source=folder.name, scan=scan))
    return sorted(cases, key=lambda case: case.name)


def _listed(entry: Any, key: str) -> str:
    try:
        text = entry[key]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"dataset.json: a training case has no {key}: {abbreviated(repr(entry))}. Copy it again."
        ) from error
    if not isinstance(text, str) or not is_possible(text):
        raise DataError(f"dataset.json: a training case has an impossible {key}: {abbreviated(repr(text))}.")
    return text

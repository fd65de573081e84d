"""Medical Segmentation Decathlon as its archives unpack: ``dataset.json``, ``imagesTr``, ``labelsTr``."""

from pathlib import Path, PurePosixPath
from typing import Any

from pancascade.datasets.case import Case
from pancascade.datasets.dataset_json import read_dataset_json
from pancascade.datasets.scan_files import scan_files
from pancascade.datasets.structure import Meaning, structure_named
from pancascade.errors import DataError
from pancascade.io import stem


def msd(folder: Path) -> list[Case]:
    """Cases of a task of the decathlon, one a patient; labels 1 pancreas, 2 tumour in Task07.

    Images without a label (``imagesTs``) are left out. Nothing but ``dataset.json`` is opened; whether the files it
    lists are there is found out by reading them.

    Args:
        folder: Such as ``Task07_Pancreas``.

    Raises:
        DataError: ``dataset.json`` is missing or damaged.

    Source: Antonelli et al. 2022; 281 labelled and 139 unlabelled scans of Task07.
    """
    content = read_dataset_json(folder)
    meaning = _meaning(content, folder)
    listed = content.get("training")
    if not isinstance(listed, list) or not listed:
        raise DataError(f"{folder / 'dataset.json'}: lists no training cases. Unpack the archive again.")
    cases = []
    for entry in listed:
        image, label = (_file(folder, entry, key) for key in ("image", "label"))
        name = stem(image)
        cases.append(
            Case.of_scan(name, patient=name, source=folder.name, scan=scan_files(image, label, meaning=meaning))
        )
    return sorted(cases, key=lambda case: case.name)


def _meaning(content: dict[str, Any], folder: Path) -> Meaning:
    try:
        named = {int(value): str(name) for value, name in content["labels"].items()}
    except (KeyError, AttributeError, ValueError) as error:
        raise DataError(f"{folder / 'dataset.json'}: its labels are not like {{'1': 'pancreas'}} ({error}).") from error
    return {value: structure_named(name) for value, name in named.items() if value != 0}


def _file(folder: Path, entry: Any, key: str) -> Path:
    try:
        path = folder / PurePosixPath(entry[key])
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder / 'dataset.json'}: a training case has no {key}: {entry!r}.") from error
    # The archive lists .nii.gz; some unpack the files themselves.
    plain = path.with_suffix("") if path.name.endswith(".nii.gz") else path
    return plain if plain.is_file() and not path.is_file() else path

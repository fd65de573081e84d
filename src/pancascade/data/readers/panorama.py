"""PANORAMA: images ``CASE_0000.nii.gz`` in batches, label maps ``CASE.nii.gz`` in another repository."""

from pathlib import Path

from pancascade.data.readers.case import Case
from pancascade.data.readers.scan_files import scan_files
from pancascade.data.readers.structure import PANORAMA
from pancascade.errors import DataError
from pancascade.files.file_names import composed

_IMAGE, _LABEL = "_0000.nii.gz", ".nii.gz"


def panorama(folder: Path) -> list[Case]:
    """Return the cases with image and label map, one per scan; the patient is the first number of the name.

    Both may be at any depth: ``batch_1/100000_00001_0000.nii.gz``, ``manual_labels/100000_00001.nii.gz``,
    ``automatic_labels/…``. A manual label map has priority. Images without a label map are left out.

    Args:
        folder: Folder with the unpacked batches and the label repository.

    Raises:
        DataError: No image has a label map.

    Source: Alves et al., PANORAMA study protocol, 2024; labels of DIAGNijmegen/panorama_labels.
    """
    images: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.nii.gz")):
        if path.name.startswith("."):
            continue
        if path.name.endswith(_IMAGE):
            images.setdefault(composed(path.name.removesuffix(_IMAGE)), path)
        else:
            name = composed(path.name.removesuffix(_LABEL))
            if name not in labels or "manual" in path.parent.name:
                labels[name] = path
    pairs = sorted(images.keys() & labels.keys())
    if not pairs:
        raise DataError(
            f"{folder}: no image CASE_0000.nii.gz has a label map CASE.nii.gz. Unpack the batches and the label "
            "repository into one folder."
        )
    return [
        Case.of_scan(
            name,
            patient=name.split("_", maxsplit=1)[0],
            source="PANORAMA",
            scan=scan_files(images[name], labels[name], meaning=PANORAMA),
        )
        for name in pairs
    ]

"""Region folders: 8-bit CT of the pancreas and its surround with label maps, as cropped from PANORAMA.

``index.csv`` (columns case, hu_at_0, hu_at_255), ``CASE_ct.nii.gz``, ``CASE_label.nii.gz``.
"""

from functools import partial
from pathlib import Path

from pydantic import ValidationError

from pancascade.data.readers.case import Case, LabelledScan
from pancascade.data.readers.scan_files import read_values
from pancascade.data.readers.structure import PANORAMA, LabelMapping
from pancascade.errors import DataError, NotCTError
from pancascade.files.csv_tables import TableRow, read_table
from pancascade.files.file_names import find_path
from pancascade.imaging.io import read_volume
from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import Volume

WHITE = 255


def region_folder(folder: Path, *, meaning: LabelMapping = PANORAMA) -> list[Case]:
    """Return the cases of a folder of regions, one per region.

    Args:
        folder: Folder with ``index.csv`` and the NIfTI pairs.
        meaning: Structure of each value of the label maps.

    Raises:
        DataError: The index is missing, lacks a column, or has a bad value.
    """
    index = folder / "index.csv"
    if not index.is_file():
        raise DataError(f"{index}: no such file. A region folder needs index.csv and CASE_ct/_label.nii.gz.")
    cases = []
    for row in read_table(index, required=("case", "hu_at_0", "hu_at_255")):
        window = _window(row)
        image, label = (find_path(folder, f"{row.file_name('case')}_{what}.nii.gz") for what in ("ct", "label"))
        readers = (partial(_read_grey, image, window), partial(read_values, label))
        scan = LabelledScan(image, label, meaning, *readers, region=True)
        patient = row["case"].split("_")[0]
        cases.append(Case.of_scan(row["case"], patient=patient, source=folder.name, scan=scan))
    return cases


def _window(row: TableRow) -> Window:
    lower_hu, upper_hu = row.number("hu_at_0"), row.number("hu_at_255")
    try:
        return Window(lower_hu=lower_hu, upper_hu=upper_hu)
    except ValidationError as error:
        raise row.fault(f"hu_at_0 is {lower_hu:g}, hu_at_255 {upper_hu:g}; the second must be larger.") from error


def _read_grey(image: Path, window: Window) -> Volume:
    grey = read_volume(image)
    # This form makes NaN fail too.
    if not (grey.voxels.min() >= 0 and grey.voxels.max() <= WHITE):
        raise NotCTError(f"{image}: grey values are not all from 0 to {WHITE}. Export the region again.", code="not_ct")
    return grey.with_voxels(window.to_hu(grey.voxels))

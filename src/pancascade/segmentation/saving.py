"""Writing a segmentation: masks, pictures, report, probabilities, and ``result.json``, which seals them."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pancascade.execution.beside import beside
from pancascade.files.atomic import written_together
from pancascade.files.digests import content_digest
from pancascade.files.scan_place import scan_place
from pancascade.imaging.io import write_volume
from pancascade.imaging.io.nifti import write_nifti
from pancascade.imaging.volume import Box, Volume
from pancascade.inference.localization.region_probabilities import STEP
from pancascade.labels import Label
from pancascade.results import structures
from pancascade.results.result import Result, current_versions, write_result

if TYPE_CHECKING:
    from pancascade.imaging.io.dicom.source import DicomSource

MASKS: dict[str, str] = {"nifti": "segmentation.nii.gz", "dicom-seg": "segmentation.dcm", "rtstruct": "rtstruct.dcm"}
"""File name of the mask in each format."""

REPORTS: dict[str, str] = {"dicom-sr": "measurements.dcm"}
"""File name of the measurements in each DICOM format."""

FILES = (
    *MASKS.values(),
    *REPORTS.values(),
    "overview.png",
    "probability_pancreas.nii.gz",
    "probability_tumour.nii.gz",
    "refusal.json",
    "report.html",
    *structures.MASKS,
    structures.STATISTICS,
    "result.json",
)
"""All that `write_segmentation` may write; what a run does not write, it removes."""


@dataclass(frozen=True)
class Outputs:
    """What is written beside ``result.json``; see `pancascade.segmentation.segmentation.Segmentation.save`.

    Attributes:
        formats: Of the mask and the measurements: keys of `MASKS` and `REPORTS`.
        probabilities: A map of pancreas and of tumour each.
        report: ``overview.png`` and ``report.html``.
        split_masks: A mask of each structure.
        statistics: ``statistics.csv``.
    """

    formats: frozenset[str]
    probabilities: bool = False
    report: bool = True
    split_masks: bool = False
    statistics: bool = False


def write_segmentation(
    folder: Path,
    result: Result,
    *,
    scan: Volume,
    mask: Volume,
    region: Box | None,
    region_probabilities: NDArray[np.float32],
    card: str,
    outputs: Outputs,
) -> Path:
    """Write the files of a segmentation, all or none; what an earlier run left of them goes.

    Args:
        folder: Made if it is missing.
        result: What ``result.json`` tells; the digests of the files and the scan's place are added.
        scan: (I, J, K) in HU, as it came.
        mask: (I, J, K) ids of `Label`, on the scan's grid.
        region: Box of the scan that the probabilities fill; None if there are none.
        region_probabilities: (2, *region.shape) float32: pancreas, tumour.
        card: Of the model, Markdown, for the report.
        outputs: Which files.

    Returns:
        The folder.

    Raises:
        OutputError: The folder cannot be written, or a DICOM format is requested for a scan that is no DICOM.
        GeometryError: The mask does not lie on the grid of the DICOM series.
    """
    from pancascade.report import write_overview, write_scan_report

    maps = {"region": region, "region_probabilities": region_probabilities}
    with written_together(folder, names=FILES) as draft:
        with beside(partial(_write_nifti, draft, outputs, scan=scan, mask=mask, **maps)) as nifti_written:
            if outputs.formats - {"nifti"}:
                _write_dicom(draft, result, outputs.formats, scan=scan, mask=mask)
            if outputs.statistics:
                structures.write_statistics(scan, mask, draft / structures.STATISTICS)
            if outputs.report:
                write_overview(scan, mask, draft / "overview.png")
                write_scan_report(draft / "report.html", scan=scan, mask=mask, result=result, model_card=card)
            nifti_written()
        write_result(_sealed(result, draft, folder=folder, scan=scan), draft / "result.json")
    return folder


def read_identifiers(scan: Volume, *, series: str | None) -> dict[str, str]:
    """Patient and study of a scan that came as DICOM, by the name of the attribute; empty for any other scan.

    Args:
        scan: As it came; its name is its path.
        series: Which series was asked for.

    Raises:
        ScanError: The series cannot be read any more.
    """
    from pancascade.imaging.io.dicom.dicom_files import looks_like_dicom
    from pancascade.imaging.io.dicom.identity import identity_of

    return identity_of(_source(scan, series)) if looks_like_dicom(Path(scan.name)) else {}


def _source(scan: Volume, series: str | None) -> "DicomSource":
    from pancascade.imaging.io.dicom.source import find_source

    return find_source(Path(scan.name), series=series)


def _sealed(result: Result, draft: Path, *, folder: Path, scan: Volume) -> Result:
    """Add to the result the digests of all files that are written with it, and the scan's place."""
    written = sorted(path for path in draft.rglob("*") if path.is_file())
    files = {path.relative_to(draft).as_posix(): content_digest(path) for path in written}
    source = scan.source
    place = None if source is None or not source.exists() else scan_place(source, seen_from=folder)
    return result.model_copy(update={"files": files, "scan_place": place})


def _write_nifti(draft: Path, outputs: Outputs, *, scan: Volume, mask: Volume, **maps: Any) -> None:
    """Write all files that zlib compresses; `maps` as for `_write_probability`."""
    if "nifti" in outputs.formats:
        write_volume(mask, draft / MASKS["nifti"])
    if outputs.probabilities:
        for label in (Label.PANCREAS, Label.TUMOUR):
            _write_probability(draft / f"probability_{label.title}.nii.gz", label, scan=scan, **maps)
    if outputs.split_masks:
        structures.write_structures(mask, draft)


def _write_probability(
    path: Path, label: Label, *, scan: Volume, region: Box | None, region_probabilities: NDArray[np.float32]
) -> None:
    """Write whole numbers with a slope on the scan's grid: the many zeros compress well."""
    steps = np.zeros(scan.shape, np.uint16)
    if region is not None:
        steps[region.slices] = np.rint(region_probabilities[label - 1] / STEP)
    write_nifti(scan.with_voxels(steps), path, slope=STEP)


def _write_dicom(draft: Path, result: Result, formats: frozenset[str], *, scan: Volume, mask: Volume) -> None:
    from pancascade.imaging.io.dicom.rtstruct_writer import write_rtstruct
    from pancascade.imaging.io.dicom.segmentation_writer import write_dicom_seg
    from pancascade.report.scan.dicom_sr import write_dicom_sr

    made: dict[str, Any] = {
        "source": _source(scan, result.series),
        "model": result.model,
        "version": current_versions()["pancascade"],
    }
    given, segmentation = result.pancreas_mask is not None, draft / MASKS["dicom-seg"]
    if {"dicom-seg", "dicom-sr"} & formats:
        write_dicom_seg(mask, segmentation, pancreas_given=given, **made)
    if "rtstruct" in formats:
        write_rtstruct(mask, draft / MASKS["rtstruct"], pancreas_given=given, **made)
    if "dicom-sr" in formats:
        path = draft / REPORTS["dicom-sr"]
        write_dicom_sr(result.pancreas_and_lesions, path, mask=mask, segmentation=segmentation, **made)

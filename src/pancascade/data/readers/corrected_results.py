"""Corrected results as a data set: each scan with its newest correction."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pancascade.data.readers.case import Case, LabelledScan
from pancascade.data.readers.case_names import distinct_names
from pancascade.data.readers.corrected_scans import KnownScans
from pancascade.data.readers.scan_files import read_values
from pancascade.data.readers.structure import OURS
from pancascade.errors import DataError, listed
from pancascade.files.given_paths import real_path
from pancascade.imaging.io import read_volume
from pancascade.imaging.io.dicom.dicom_files import looks_like_dicom
from pancascade.imaging.volume import Volume
from pancascade.imaging.volume.digest import volume_digest
from pancascade.results.corrections import FOLDER, Correction, newest_correction, read_segmented_scan


def corrected_results(folder: Path, *, scans: Path | None = None) -> list[Case]:
    """Return the cases of a folder of results with saved corrections, one per result with a correction.

    A scan is searched beside its result (``scan.nii.gz``), in the list or folder of scans, and at its original place.
    On reading, its digest must equal that of the segmented scan. Results of the same scan, and results that the list
    assigns to one patient, belong to one patient; otherwise each scan is its own patient.

    Args:
        folder: Folder of results at any depth, or a single result.
        scans: Folder of the scans, or a CSV with the columns case and input, as ``batch --mapping`` writes it, and
            optionally series and patient; None uses ``scans.csv`` in the folder, if there is one.

    Raises:
        DataError: No result has a correction, or scans are missing.
        UnreadableError: A result or a correction is damaged.
    """
    results = _results_with_corrections(folder)
    if not results:
        raise DataError(f"{folder}: no result here has a correction. Save one in the viewer, or give another folder.")
    names = distinct_names([_place(path, folder) for path in results])
    known = KnownScans.read(folder, scans)
    found: list[Case] = []
    missing: list[str] = []
    patients: dict[str, str] = {}
    for result, name in zip(results, names, strict=True):
        scan, correction = read_segmented_scan(result), newest_correction(result)
        if correction is None:
            continue
        image = known.find(result, scan, names=(name, result.name))
        if image is None:
            missing.append(name)
            continue
        digest = correction.record.scan_digest or scan.scan_digest
        patient = known.patient(name, result.name) or patients.setdefault(digest or name, name)
        labelled = _labelled(image, correction, series=known.series(name, result.name) or scan.series, digest=digest)
        found.append(Case.of_scan(name, patient=patient, source=real_path(folder).name, scan=labelled))
    if missing:
        raise DataError(
            f"{listed(missing)}: the scan is neither beside the correction nor at its original place. Give --scans, a "
            "folder of the scans or a CSV with the columns case and input."
        )
    return found


def holds_corrections(folder: Path) -> bool:
    """Return whether a folder contains a result with a correction."""
    return next(_records(folder), None) is not None


def _results_with_corrections(folder: Path) -> list[Path]:
    return sorted({record.parents[1] for record in _records(folder)})


def _records(folder: Path) -> Iterator[Path]:
    for record in folder.rglob(f"{FOLDER}/[0-9]*.json"):
        result = record.parents[1]
        hidden = any(part.startswith(".") for part in result.relative_to(folder).parts)
        if not hidden and (result / "result.json").is_file():
            yield record


def _place(result: Path, folder: Path) -> str:
    return real_path(folder).name if result == folder else result.relative_to(folder).as_posix()


def _labelled(image: Path, correction: Correction, *, series: str | None, digest: str | None) -> LabelledScan:
    read_image = partial(_read_segmented, image, series=series, digest=digest)
    return LabelledScan(image, correction.label_map, OURS, read_image, partial(read_values, correction.label_map))


def _read_segmented(image: Path, *, series: str | None, digest: str | None) -> Volume:
    """Read the scan, and check that it is the one that was segmented.

    Raises:
        DataError: It is another scan.
        ScanError: The scan cannot be read.
    """
    volume = read_volume(image, series=series if looks_like_dicom(image) else None)
    if digest is not None and volume_digest(volume) != digest:
        raise DataError(
            f"{image.name}: not the scan that was segmented and corrected, its voxels differ. Give that scan by "
            "--scans."
        )
    return volume

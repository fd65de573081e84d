"""Apply other thresholds to a segmented scan, without running a network again."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pancascade.errors import GeometryError, ScanError, UnknownModelError, UnreadableError
from pancascade.files.given_paths import given_path
from pancascade.files.scan_place import places_of_scan
from pancascade.imaging.io import read_volume, require_ct
from pancascade.imaging.io.dicom.dicom_files import looks_like_dicom
from pancascade.imaging.volume import Box, Volume
from pancascade.imaging.volume.digest import volume_digest
from pancascade.inference.localization.region_probabilities import STEP, RegionProbabilities
from pancascade.inference.models.additions import Additions
from pancascade.inference.models.known_models import find_model
from pancascade.inference.pipeline.result_warnings import result_warnings
from pancascade.labels import Label
from pancascade.messages.names_only import DICOM_FOLDER
from pancascade.results.location import Thresholds
from pancascade.results.result import Result, read_result
from pancascade.results.result_files import folder_of_result, foreign_files
from pancascade.segmentation.saving import MASKS, REPORTS
from pancascade.segmentation.segmentation import Segmentation


def load_segmentation(folder: str | Path, *, scan: str | Path | None = None) -> Segmentation:
    """Load a result of ``pancascade segment --save-probabilities``; its mask stays empty until `with_thresholds`.

    Args:
        folder: Folder of the result.
        scan: Path of the scan; None searches at its former place.

    Raises:
        UnreadableError: A file of the result, or the scan, is missing or damaged, or differs from the original.
        GeometryError: The scan has another grid.
    """
    folder = folder_of_result(given_path(folder, what="folder").absolute())
    result, name = read_result(folder), folder.name
    maps = _probabilities_of(folder, result)
    volume = find_scan(result, folder, scan=scan)
    if not maps[0].on_same_grid_as(volume, tolerance_mm=1e-2):
        raise GeometryError(f"{volume.name}: not on the grid of the probabilities in {name}. Give the same scan.")
    region = Box.around(np.maximum(maps[0].voxels, maps[1].voxels))
    empty = np.zeros((2, 0, 0, 0), np.float32)
    probabilities = empty if region is None else np.stack([one.voxels[region.slices] for one in maps])
    return Segmentation(
        scan=volume,
        mask=volume.with_voxels(np.zeros(volume.shape, np.uint8)),
        region=region,
        region_probabilities=probabilities,
        model=result.model,
        notices=result.notices,
        times_s=result.times_s,
        trained_on=result.trained_on,
        thresholds=result.thresholds,
        location=result.location,
        tumour_score=result.tumour_score,
        runs_on=result.backend,
        card=_card(result.model),
        series=result.series,
        additions=Additions.without(result.switched_off),
        pancreas_mask=result.pancreas_mask,
    )


def _probabilities_of(folder: Path, result: Result) -> list[Volume]:
    """The maps of pancreas and tumour that were saved with a result.

    Raises:
        UnreadableError: One is missing, damaged, or not what was written with the result.
    """
    name = folder.name
    paths = [folder / f"probability_{label.title}.nii.gz" for label in (Label.PANCREAS, Label.TUMOUR)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise UnreadableError(
            f"{name}: holds no {' and '.join(missing)}. Segment the scan again with --save-probabilities.",
            code="no_probabilities",
        )
    maps = [_probabilities(path) for path in paths]
    changed = foreign_files(folder, result, [path.name for path in paths])
    if changed:
        raise UnreadableError(
            f"{name}: {changed[0]} is not what was written with result.json. Segment the scan again with "
            "--save-probabilities.",
            code="result_changed",
        )
    return maps


def with_thresholds(found: Segmentation, thresholds: Thresholds) -> Segmentation:
    """Return the segmentation with a mask by other thresholds.

    Args:
        found: Segmentation with the probabilities of its region.
        thresholds: The new thresholds.
    """
    labels = np.zeros(found.scan.shape, np.uint8)
    if found.region is not None:
        organ = found.region_probabilities.sum(axis=0, dtype=np.float32)
        tumour = found.region_probabilities[1]
        finding = RegionProbabilities(Box.whole(found.region.shape), organ, tumour).rounded()
        labels[found.region.slices] = finding.labels(
            organ.shape,
            spacing_mm=found.scan.spacing_mm,
            organ_threshold=thresholds.organ,
            tumour_threshold=thresholds.least_tumour,
            component_rules=found.additions.component_rules,
            organ_given=found.pancreas_mask is not None,
        )
    mask = found.scan.with_voxels(labels)
    unmarked = set() if thresholds.tumour_marked else {"tumour_unmarked"}
    kept = [notice for notice in found.notices if notice.about != "result" or notice.code in unmarked]
    low_confidence = result_warnings(mask, organ_given=found.pancreas_mask is not None)
    return replace(found, mask=mask, thresholds=thresholds, notices=(*kept, *low_confidence))


def formats_in(folder: Path) -> list[str]:
    """Return the formats of the masks and measurements in a folder."""
    return [name for name, file in {**MASKS, **REPORTS}.items() if (folder / file).is_file()]


def identified(folder: Path) -> bool:
    """Return whether the result in a folder names patient and study."""
    return read_result(folder).identifiers is not None


def vessels_in(folder: Path) -> set[str]:
    """Return the names of the vessels against which the lesions of a result were measured."""
    lesions = read_result(folder).pancreas_and_lesions.lesions
    return {contact.vessel for lesion in lesions for contact in lesion.vessels}


def find_scan(result: Result, folder: Path, *, scan: str | Path | None = None) -> Volume:
    """Find and read the scan of a result; its digest must be the result's.

    Args:
        result: Result of that scan.
        folder: Folder of the result.
        scan: Path of the scan; None searches at its former place.

    Raises:
        UnreadableError: It is missing or damaged, or another scan.
        GeometryError: It has another grid.
    """
    places = [Path(scan)] if scan is not None else _places(result, folder)
    refusals: list[ScanError] = []
    for place in places:
        try:
            return _same_scan(place, result, name=folder.name)
        except ScanError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]
    raise UnreadableError(
        f"{result.scan}: there is no such file or folder where it was when {folder.name} was written. Give the "
        "scan's path with --scan.",
        code="no_such_file",
    )


def _places(result: Result, folder: Path) -> list[Path]:
    """Return the places where a scan may be, seen from its result; older results hold its path."""
    there = [] if result.scan_place is None else list(places_of_scan(result.scan_place, seen_from=folder))
    by_name = Path(result.scan)
    return [*there, by_name] if by_name.exists() and result.scan != DICOM_FOLDER else there


def _same_scan(path: Path, result: Result, *, name: str) -> Volume:
    volume = read_volume(path, series=result.series if looks_like_dicom(path) else None)
    require_ct(volume)
    segmented = Volume(np.broadcast_to(np.uint8(0), result.grid.shape), np.array(result.grid.affine))
    if not segmented.on_same_grid_as(volume, tolerance_mm=1e-2):
        raise GeometryError(f"{volume.name}: not on the grid of the scan in {name}. Give the same scan.")
    if result.scan_digest is not None and volume_digest(volume) != result.scan_digest:
        raise UnreadableError(
            f"{volume.name}: is not the segmented scan, its voxels differ. Give the path of that one with "
            "--scan, or segment this one.",
            code="other_scan",
        )
    return volume


def _probabilities(path: Path) -> Volume:
    volume = read_volume(path)
    # Written so that NaN fails, too.
    if not (volume.voxels.min() >= 0 and volume.voxels.max() <= 1 + STEP):
        raise UnreadableError(
            f"{path}: holds values outside 0 to 1, so it holds no probabilities. "
            "Segment the scan again with --save-probabilities.",
            code="no_probabilities",
        )
    return volume


def _card(model: str) -> str:
    """Return the card of a shipped model; empty for a model that no longer exists."""
    try:
        return "\n\n".join(find_model(name).card_text() for name in model.split(" + "))
    except UnknownModelError:
        return ""

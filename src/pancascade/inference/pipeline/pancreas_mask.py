"""Read and check a given mask of the pancreas, and bring it onto the scan's grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pancascade.data.readers.dataset_json import label_names, read_dataset_json
from pancascade.data.readers.label_names import structures_of
from pancascade.errors import DataError, UnreadableError, listed
from pancascade.files.file_names import abbreviated
from pancascade.imaging.io import read_label_map
from pancascade.imaging.io.dicom.dicom_files import looks_like_dicom
from pancascade.imaging.io.dicom.masks import DicomMask, read_dicom_mask
from pancascade.imaging.io.label_table import embedded_label_names
from pancascade.imaging.volume import Box, Volume, as_label_map, reorient, slabs
from pancascade.imaging.volume.digest import volume_digest
from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.inference.localization.search_region import PLAUSIBLE_PANCREAS_ML
from pancascade.inference.pipeline.mask_placing import on_grid_of
from pancascade.inference.pipeline.segment_series import series_notices
from pancascade.labels import Label
from pancascade.messages.notices import Notice
from pancascade.results.result import PancreasMaskRecord


@dataclass(frozen=True, eq=False)
class PancreasMask:
    """A given mask of the pancreas, on the grid of its file.

    Attributes:
        mask: Boolean, the pancreas including its tumour.
        digest: Digest of the label map as it was read.
        values: Label values, or segment numbers, that make up the mask.
        segments: The DICOM-SEG, which names the series that it was made on and may leave out empty planes; else None.
    """

    mask: Volume
    digest: str
    values: tuple[int, ...]
    segments: DicomMask | None = None


@dataclass(frozen=True, eq=False)
class GivenPancreas:
    """A given mask of the pancreas, on the grid of the LPS scan.

    Attributes:
        prediction: Organ probability 1 in the mask, no tumour.
        record: For ``result.json``.
        notices: That the mask was given, how it was placed, and what is odd about it.
    """

    prediction: RegionProbabilities
    record: PancreasMaskRecord
    notices: tuple[Notice, ...]


def read_pancreas_mask(given: str | Path | Volume, *, labels: Sequence[str | int] = ()) -> PancreasMask:
    """Read the pancreas from a mask or label map.

    Args:
        given: A file that `read_volume` reads, a DICOM-SEG, or a volume of labels.
        labels: Values or names of the pancreas and its parts; their union is the organ. If empty, a table of names
            decides (in the file's header, or a ``dataset.json`` in its folder or the one above), or the only value
            above 0.

    Raises:
        UnreadableError: The file holds no labels, no pancreas, or several values without names.
        ScanError: The file cannot be read.
    """
    if not isinstance(given, Volume) and looks_like_dicom(Path(given)):
        return _of_segments(read_dicom_mask(Path(given).absolute()), labels)
    if isinstance(given, Volume):
        volume, names = as_label_map(given), {}
    else:
        volume = read_label_map(given)
        names = _names_beside(Path(given).absolute())
    there = _values_in(volume)
    if not there:
        raise UnreadableError(
            f"{volume.name}: the mask of the pancreas is empty. Give one with voxels above 0.",
            code="pancreas_mask_empty",
        )
    chosen = _named(labels, names, volume.name) if labels else _meant(there, names, volume.name)
    values = sorted(chosen & there)
    if not values:
        raise UnreadableError(
            f"{volume.name}: holds no voxel of {listed([str(one) for one in labels or sorted(chosen)])}, so it "
            "holds no pancreas. Give another --pancreas-label.",
            code="pancreas_mask_empty",
        )
    return PancreasMask(volume.with_voxels(np.isin(volume.voxels, values)), volume_digest(volume), tuple(values))


def _of_segments(found: DicomMask, labels: Sequence[str | int]) -> PancreasMask:
    """Return the pancreas of a DICOM-SEG, whose segments have names and coded types.

    Raises:
        UnreadableError: No segment is a pancreas, or the segments of the pancreas hold no voxel.
    """
    name = str(found.path)
    full = {number: f"{called} ({found.kinds[number]})" for number, called in found.names.items()}
    chosen = _named(labels, found.names, name) if labels else _meant(set(full), full, name)
    values = sorted(chosen & set(full))
    mask = found.volume(values) if values else None
    if mask is None or not mask.voxels.any():
        raise UnreadableError(
            f"{name}: holds no voxel of {listed([str(one) for one in labels or sorted(chosen)])}, so it "
            "holds no pancreas. Give another --pancreas-label.",
            code="pancreas_mask_empty",
        )
    return PancreasMask(mask, volume_digest(mask), tuple(values), found)


def place_pancreas(given: PancreasMask, scan_lps: Volume) -> GivenPancreas:
    """Bring the mask onto the grid of the LPS scan.

    Args:
        given: A mask in any orientation, on the scan's grid or on one with other voxels that covers the same space.
        scan_lps: The scan, LPS.

    Raises:
        GeometryError: The mask covers another space, or was made on a scan in another frame of reference.
        UnreadableError: No voxel of the mask is left on the scan's grid.
    """
    turned, resampled = on_grid_of(scan_lps, given.mask, given.segments)
    box = Box.around(turned.voxels > 0)
    if box is None:
        raise UnreadableError(
            f"{given.mask.name}: no voxel of the pancreas is left on the scan's grid. Give a finer mask.",
            code="pancreas_mask_empty",
        )
    organ = (turned.voxels[box.slices] > 0).astype(np.float32)
    volume_ml = round(float(organ.sum(dtype=np.float64)) * scan_lps.voxel_volume_ml, 2)
    record = PancreasMaskRecord(digest=given.digest, values=given.values, resampled=resampled, volume_ml=volume_ml)
    prediction = RegionProbabilities(box, organ, np.zeros_like(organ))
    notices = (*_notices(record, given.mask, scan_lps), *series_notices(given.segments, scan_lps))
    return GivenPancreas(prediction, record, notices)


def _notices(record: PancreasMaskRecord, mask: Volume, scan_lps: Volume) -> list[Notice]:
    values = {"volume_ml": record.volume_ml}
    notices = [
        Notice(
            code="pancreas_given",
            severity="information",
            about="location",
            sentence=f"The pancreas ({record.volume_ml:.1f} mL) is the given mask; no network searched for it.",
            values=values,
        )
    ]
    if record.resampled:
        sizes = " against ".join(
            " x ".join(f"{step:.3g}" for step in one.spacing_mm) for one in (reorient(mask, "LPS"), scan_lps)
        )
        sentence = f"The mask of the pancreas has other voxels than the scan ({sizes} mm): the nearest were taken."
        notices.append(Notice(code="pancreas_mask_resampled", about="input", sentence=sentence))
    smallest, largest = PLAUSIBLE_PANCREAS_ML
    if not smallest <= record.volume_ml <= largest:
        sentence = (
            f"The given mask of the pancreas holds {record.volume_ml:.1f} mL, but a pancreas has {smallest:g} to "
            f"{largest:g} mL: check that the label is the right one, and complete."
        )
        notices.append(Notice(code="pancreas_mask_volume", about="input", sentence=sentence, values=values))
    return notices


def _values_in(volume: Volume) -> set[int]:
    """Return the label values above 0.

    Raises:
        UnreadableError: Some values are no labels.
    """
    found: set[float] = set()
    for slab in slabs(volume.voxels, axis=2):
        found.update(np.unique(slab).tolist())
        # Written so that NaN fails too.
        if not all(0 <= value < 1e6 and float(value).is_integer() for value in found) or len(found) > 5000:
            raise UnreadableError(
                f"{volume.name}: holds values that are no labels, so it is a scan or probabilities, not a mask of the "
                "pancreas. Give the mask.",
                code="pancreas_mask_values",
            )
    return {int(value) for value in found} - {0}


def _names_beside(path: Path) -> dict[int, str]:
    """Return names by value: the file's own table, or nnU-Net's ``dataset.json`` in its folder or the one above."""
    if names := embedded_label_names(path):
        return names
    for folder in (path.parent, path.parent.parent):
        if (folder / "dataset.json").is_file():
            try:
                return label_names(read_dataset_json(folder))
            except DataError:
                return {}
    return {}


def _named(labels: Sequence[str | int], names: Mapping[int, str], scan: str) -> set[int]:
    values: set[int] = set()
    by_name = {name.casefold(): value for value, name in names.items()}
    for label in labels:
        text = str(label).strip()
        value = int(text) if text.isdecimal() and len(text) < 7 else by_name.get(text.casefold(), 0)
        if value < 1:
            known = listed(sorted(name for name in names.values() if structures_of({1: name})[1].label)) or "no names"
            raise UnreadableError(
                f"--pancreas-label {abbreviated(text)}: no label of {abbreviated(scan)}, which has {known}. "
                "Give the value, 1 or more.",
                code="pancreas_label",
            )
        values.add(value)
    return values


def _meant(there: set[int], names: Mapping[int, str], scan: str) -> set[int]:
    """Return the values that the table of names calls pancreas or its tumour; without names, the only value."""
    organ = {value for value, structure in structures_of(names).items() if structure.label is not Label.BACKGROUND}
    if organ:
        return organ
    if len(there) == 1 and not names:
        return there
    what = "names no pancreas" if names else f"holds {len(there)} labels and no names"
    raise UnreadableError(
        f"{scan}: {what}, so the pancreas is unknown. Give --pancreas-label, such as 7.", code="pancreas_label"
    )

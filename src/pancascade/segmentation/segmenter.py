"""From a scan to its segmentation: one scan's way, one line an arrow."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pancascade.errors import GeometryError
from pancascade.imaging.io import read_volume, require_ct
from pancascade.imaging.io.dicom.series import series_name
from pancascade.imaging.io.in_memory import as_volume
from pancascade.imaging.preprocessing.input_checks import check_input
from pancascade.imaging.volume import Box, Volume, crop, reorient, restore
from pancascade.inference.backends.backend import Backend
from pancascade.inference.localization.region_probabilities import Finding
from pancascade.inference.models.additions import ALL, Additions
from pancascade.inference.models.model import DEFAULT_MODEL
from pancascade.inference.pipeline.decision import Decision, average, decide_finding
from pancascade.inference.pipeline.pancreas_mask import GivenPancreas, PancreasMask, place_pancreas, read_pancreas_mask
from pancascade.inference.pipeline.result_warnings import doubts, location_notices
from pancascade.inference.pipeline.steps import follow
from pancascade.inference.pipeline.tumour_search import search_notices, search_tumour
from pancascade.inference.runners.loading import Member, load_members, runner_of, trained_on
from pancascade.inference.runners.memory import memory_notices, require_memory
from pancascade.inference.runners.slice_runner import Progress
from pancascade.inference.runners.stopwatch import Stopwatch
from pancascade.messages.notices import Notice
from pancascade.segmentation.segmentation import Segmentation

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage


def segment(
    scan: "str | Path | Volume | SpatialImage | NDArray[Any]",
    *,
    affine: ArrayLike | None = None,
    spacing_mm: Sequence[float] | None = None,
    orientation: str = "RAS",
    model: str | Sequence[str] = DEFAULT_MODEL,
    device: str = "cpu",
    series: str | None = None,
    tta: bool = False,
    backend: Backend = "auto",
    max_memory_gb: float | None = None,
    keep_doubtful: bool = False,
    progress: Progress | None = None,
    additions: Additions = ALL,
    loaded: Sequence[Member] | None = None,
    pancreas: str | Path | Volume | PancreasMask | None = None,
    pancreas_label: Sequence[str | int] = (),
    pancreas_model: str | None = None,
) -> Segmentation:
    """Find the pancreas and its tumour in a CT scan.

    Args:
        scan: A file, a folder or zip archive with a CT series as DICOM; or Hounsfield units: a volume, an image of
            nibabel, or an array (I, J, K).
        affine: Of an array: (4, 4), voxel index to RAS+ mm, nibabel's convention.
        spacing_mm: Of an array without an affine: distance of its voxels along each axis.
        orientation: Of such an array: where each axis points, such as ``LPS`` for left, posterior, superior.
        model: A shipped model's name, or the path of a checkpoint or of a network of another program; several are
            averaged.
        device: ``cpu`` or ``cuda``.
        series: Of DICOM, the series: its UID, its number, or a part of its description. None lets a rule choose.
        tta: Average over views of the scan at three pixel sizes, which takes three times as long.
        backend: What runs the networks: ``torch``, ``openvino``, or ``auto`` for the faster one that is there.
        max_memory_gb: Most memory to use, in 10⁹ bytes: the voxels of a file then stay on disk.
        keep_doubtful: Also mark what was found in a place that is hardly a pancreas'; by default nothing is, with a
            warning.
        progress: Called after each batch of slices with what is being done, slices done, and slices in all.
        additions: What is done beyond the papers' pass; `pancascade.inference.models.additions.NONE` for nothing.
        loaded: Models that `load_members` has loaded, for many scans one after another; `model`, `device` and `backend`
            are then not looked at.
        pancreas: A mask or label map of the pancreas that somebody else made. It stays as it is, and tumours alone are
            looked for, in and around it.
        pancreas_label: Of that label map, values or names of the pancreas and its parts; see `read_pancreas_mask`.
        pancreas_model: A model, or a network of another program, that finds the pancreas in the model's place.

    Returns:
        Mask and probabilities on exactly the scan's grid.

    Raises:
        ScanError: The scan cannot be read, or is no CT.
        UnknownModelError: There is no such model.
        CheckpointError: The model's weights are missing or damaged.
        PancascadeError: The device or the engine cannot be used, or the memory allowed is too little.
    """
    clock = Stopwatch()
    with clock.measure("load"):
        members = (
            load_members(model, device, backend=backend, pancreas_model=pancreas_model) if loaded is None else loaded
        )
    members = [member.with_additions(additions) for member in members]
    with clock.measure("read"):
        placed = {"affine": affine, "spacing_mm": spacing_mm}
        volume = _read(scan, series=series, keep_on_disk=max_memory_gb is not None, orientation=orientation, **placed)
    with clock.measure("check"):
        upright = reorient(volume, "LPS")
        require_memory(upright, max_memory_gb)
        notices = require_ct(volume)
        notices += check_input(upright, scan_name=volume.name)
    members = [member.for_axes(volume.orientation) for member in members]
    given = _given(pancreas, upright, labels=pancreas_label)
    finding = _found(upright, _looks(members, upright, tta=tta), given, progress=progress, clock=clock)
    with clock.measure("decide"):
        decision = decide_finding(finding, upright, members, keep_doubtful=keep_doubtful, organ_given=given is not None)
        mask = restore(upright.with_voxels(decision.labels), volume)
        region, probabilities = _on_grid_of(volume, upright, decision.finding)
    return Segmentation(
        scan=volume,
        mask=mask,
        region=region,
        region_probabilities=probabilities,
        model=" + ".join(member.model.name for member in members),
        notices=(
            *_notices_of(decision, members, given),
            *doubts(mask, organ_given=given is not None),
            *notices,
            *memory_notices(max_memory_gb),
        ),
        times_s=clock.rounded(),
        trained_on=trained_on(members),
        thresholds=decision.thresholds,
        location=decision.finding.location,
        tumour_suspicion=decision.suspicion,
        runs_on=_runs_on(members),
        card="\n\n".join(member.model.card_text() for member in members),
        series=None if series is None else series_name(volume, series),
        additions=additions,
        pancreas_mask=None if given is None else given.record,
    )


def _given(
    pancreas: str | Path | Volume | PancreasMask | None, upright: Volume, *, labels: Sequence[str | int]
) -> GivenPancreas | None:
    """The mask of the pancreas on the upright scan's grid, if one is given."""
    if pancreas is None:
        return None
    mask = pancreas if isinstance(pancreas, PancreasMask) else read_pancreas_mask(pancreas, labels=labels)
    return place_pancreas(mask, upright)


def _found(
    upright: Volume,
    looks: Sequence[Member],
    given: GivenPancreas | None,
    *,
    progress: Progress | None,
    clock: Stopwatch,
) -> Finding:
    """The mean of what all looks find: pancreas and tumour, or tumour alone around a given pancreas."""
    if given is None:
        return average([follow(upright, look, progress=progress, clock=clock) for look in looks])
    return average([search_tumour(upright, look, given.finding, progress=progress, clock=clock) for look in looks])


def _notices_of(decision: "Decision", members: list[Member], given: GivenPancreas | None) -> list[Notice]:
    """What is to be said of where the pancreas was found, and of who looked."""
    return [
        *decision.withheld,
        *location_notices(decision.finding.location),
        *(() if given is None else (*given.notices, *search_notices(members))),
        *(notice for member in members for notice in member.notices),
        *decision.unmarked,
    ]


def _read(scan: Any, *, series: str | None, keep_on_disk: bool, **place: Any) -> Volume:
    """The scan, from its file or from memory; what `place` says of an array is for `as_volume`."""
    if not isinstance(scan, str | Path):
        return as_volume(scan, **place)
    if place["affine"] is not None or place["spacing_mm"] is not None:
        raise GeometryError("affine and spacing_mm are of NumPy arrays: a file has its own. Leave them out.")
    return read_volume(scan, series=series, keep_on_disk=keep_on_disk)


def _looks(members: Sequence[Member], upright: Volume, *, tta: bool) -> list[Member]:
    """Every model once, or once at each pixel size."""
    if not tta:
        return list(members)
    pixel_mm = float(np.mean(upright.spacing_mm[:2]))
    return [view for member in members for view in member.views(pixel_mm)]


def _runs_on(members: Sequence[Member]) -> str:
    """What ran the networks, known only after they ran."""
    names = [runner_of(engine) for member in members for engine in member.engines]
    return "; ".join(dict.fromkeys(names))


def _on_grid_of(scan: Volume, upright: Volume, finding: Finding) -> tuple[Box | None, NDArray[np.float32]]:
    """The finding's box and (pancreas, tumour) probabilities, turned back to the scan's own axes."""
    if finding.box is None:
        return None, np.zeros((2, 0, 0, 0), np.float32)
    ends = np.array([finding.box.start, [stop - 1 for stop in finding.box.stop]])
    to_scan = np.linalg.solve(scan.affine, upright.affine)
    turned = np.rint(ends @ to_scan[:3, :3].T + to_scan[:3, 3]).astype(int)
    region = Box(tuple(turned.min(axis=0)), tuple(turned.max(axis=0) + 1))
    patch, place = crop(upright, finding.box), crop(scan, region)
    parts = (finding.organ - finding.tumour, finding.tumour)
    return region, np.stack([restore(patch.with_voxels(values), place).voxels for values in parts])

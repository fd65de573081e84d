"""Segment a scan: the whole pipeline in one function."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pancascade.errors import GeometryError
from pancascade.execution.beside import beside
from pancascade.imaging.io import read_volume, require_ct
from pancascade.imaging.io.dicom.series import series_name
from pancascade.imaging.io.in_memory import as_volume
from pancascade.imaging.preprocessing.input_checks import check_input
from pancascade.imaging.volume import Box, Volume, crop, reorient, restore
from pancascade.inference.backends.backend import Backend
from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.inference.models.additions import ALL, Additions
from pancascade.inference.models.known_models import DEFAULT_MODEL
from pancascade.inference.pipeline.decision import Decision, average, decide_labels
from pancascade.inference.pipeline.pancreas_mask import GivenPancreas, PancreasMask, place_pancreas, read_pancreas_mask
from pancascade.inference.pipeline.result_warnings import location_notices, result_warnings
from pancascade.inference.pipeline.steps import run_pipeline
from pancascade.inference.pipeline.tumour_search import search_notices, search_tumour
from pancascade.inference.runners.callbacks import Progress
from pancascade.inference.runners.loading import LoadedModel, backend_of, load_models, trained_on
from pancascade.inference.runners.memory import memory_notices, require_memory
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
    model: str | Path | Sequence[str | Path] = DEFAULT_MODEL,
    device: str = "cpu",
    series: str | None = None,
    tta: bool = False,
    backend: Backend = "auto",
    max_memory_gb: float | None = None,
    keep_doubtful: bool = False,
    progress: Progress | None = None,
    additions: Additions = ALL,
    loaded: Sequence[LoadedModel] | None = None,
    pancreas: str | Path | Volume | PancreasMask | None = None,
    pancreas_label: Sequence[str | int] = (),
    pancreas_model: str | None = None,
) -> Segmentation:
    """Find the pancreas and its tumour in a CT scan.

    Args:
        scan: A file, or a folder or zip archive with a CT series as DICOM; or Hounsfield units: a volume, a nibabel
            image, or an array (I, J, K).
        affine: For an array: (4, 4), voxel index to RAS+ mm, nibabel's convention.
        spacing_mm: For an array without an affine: voxel size along each axis.
        orientation: For such an array: direction of each axis, such as ``LPS`` for left, posterior, superior.
        model: A shipped model's name, or the path of a checkpoint or of a network of another program; several are
            averaged.
        device: ``cpu`` or ``cuda``.
        series: DICOM series: its UID, its number, or a part of its description. None chooses by rule.
        tta: Average over views of the scan at three pixel sizes, which takes three times as long.
        backend: Backend that runs the networks: ``torch``, ``openvino``, ``onnxruntime``, or ``auto`` for the fastest
            installed one.
        max_memory_gb: Most memory to use, in 10⁹ bytes: the voxels of a file then stay on disk.
        keep_doubtful: Also mark what is no plausible pancreas; by default it is not marked, with a warning.
        progress: Called after each batch of slices with the name of the step, the slices done, and their total.
        additions: Additions to the papers' pass; `pancascade.inference.models.additions.NONE` for none.
        loaded: Models by `load_models`, for many scans one after another; `model`, `device` and `backend` are then
            ignored.
        pancreas: A given mask or label map of the pancreas. It is kept unchanged, and only tumours are searched for,
            in and around it.
        pancreas_label: Values or names of the pancreas and its parts in that label map; see `read_pancreas_mask`.
        pancreas_model: A model, or a network of another program, that finds the pancreas in place of the model's first
            step.

    Returns:
        Mask and probabilities on the scan's grid.

    Raises:
        ScanError: The scan cannot be read, or is no CT.
        UnknownModelError: There is no such model.
        CheckpointError: The model's weights are missing or damaged.
        PancascadeError: The device or the backend cannot be used, or the allowed memory is too small.
    """
    clock = Stopwatch()
    placed = {"affine": affine, "spacing_mm": spacing_mm, "orientation": orientation}
    read = partial(_read, scan, series=series, keep_on_disk=max_memory_gb is not None, clock=clock, **placed)
    with beside(read, when=_is_compressed(scan)) as volume_read:
        with clock.measure("load"):
            loaded_models = (
                load_models(model, device, backend=backend, pancreas_model=pancreas_model) if loaded is None else loaded
            )
        volume = volume_read()
    loaded_models = [loaded_model.with_additions(additions) for loaded_model in loaded_models]
    with clock.measure("check"):
        scan_lps, notices = _checked(volume, max_memory_gb=max_memory_gb)
    loaded_models = [loaded_model.for_axes(volume.orientation) for loaded_model in loaded_models]
    given = _given(pancreas, scan_lps, labels=pancreas_label)
    prediction = _found(scan_lps, _passes(loaded_models, scan_lps, tta=tta), given, progress=progress, clock=clock)
    with clock.measure("labels"):
        decision = decide_labels(
            prediction, scan_lps, loaded_models, keep_doubtful=keep_doubtful, organ_given=given is not None
        )
        mask = restore(scan_lps.with_voxels(decision.labels), volume)
        region, probabilities = _on_grid_of(volume, scan_lps, decision.prediction)
    return Segmentation(
        scan=volume,
        mask=mask,
        region=region,
        region_probabilities=probabilities,
        model=" + ".join(loaded_model.model.name for loaded_model in loaded_models),
        notices=(
            *_notices_of(decision, loaded_models, given),
            *result_warnings(mask, organ_given=given is not None),
            *notices,
            *memory_notices(max_memory_gb),
        ),
        times_s=clock.rounded(),
        trained_on=trained_on(loaded_models),
        thresholds=decision.thresholds,
        location=decision.prediction.location,
        tumour_score=decision.tumour_score,
        runs_on=_runs_on(loaded_models),
        card="\n\n".join(loaded_model.model.card_text() for loaded_model in loaded_models),
        series=None if series is None else series_name(volume, series),
        additions=additions,
        pancreas_mask=None if given is None else given.record,
    )


def _checked(volume: Volume, *, max_memory_gb: float | None) -> tuple[Volume, list[Notice]]:
    """The scan oriented LPS, and what is odd about it.

    Raises:
        ScanError: It is no CT.
        PancascadeError: It needs more memory than is allowed.
    """
    scan_lps = reorient(volume, "LPS")
    require_memory(scan_lps, max_memory_gb)
    return scan_lps, [*require_ct(volume), *check_input(scan_lps, scan_name=volume.name)]


def _given(
    pancreas: str | Path | Volume | PancreasMask | None, scan_lps: Volume, *, labels: Sequence[str | int]
) -> GivenPancreas | None:
    """Return the given mask of the pancreas on the LPS scan's grid, if there is one."""
    if pancreas is None:
        return None
    mask = pancreas if isinstance(pancreas, PancreasMask) else read_pancreas_mask(pancreas, labels=labels)
    return place_pancreas(mask, scan_lps)


def _found(
    scan_lps: Volume,
    passes: Sequence[LoadedModel],
    given: GivenPancreas | None,
    *,
    progress: Progress | None,
    clock: Stopwatch,
) -> RegionProbabilities:
    """Return the mean prediction of all passes: pancreas and tumour, or only tumour around a given pancreas."""
    if given is None:
        return average([run_pipeline(scan_lps, look, progress=progress, clock=clock) for look in passes])
    return average([search_tumour(scan_lps, look, given.prediction, progress=progress, clock=clock) for look in passes])


def _notices_of(decision: "Decision", loaded_models: list[LoadedModel], given: GivenPancreas | None) -> list[Notice]:
    """Return the notices about the location, the models and unmarked tumours."""
    return [
        *decision.withheld,
        *location_notices(decision.prediction.location),
        *(() if given is None else (*given.notices, *search_notices(loaded_models))),
        *(notice for loaded_model in loaded_models for notice in loaded_model.notices),
        *decision.unmarked,
    ]


def _read(scan: Any, *, series: str | None, keep_on_disk: bool, clock: Stopwatch, **place: Any) -> Volume:
    """Read the scan from its file or from memory; `place` describes an array, for `as_volume`."""
    with clock.measure("read"):
        if not isinstance(scan, str | Path):
            return as_volume(scan, **place)
        if place["affine"] is not None or place["spacing_mm"] is not None:
            raise GeometryError("affine and spacing_mm are for NumPy arrays: a file has its own. Leave them out.")
        return read_volume(scan, series=series, keep_on_disk=keep_on_disk)


def _is_compressed(scan: object) -> bool:
    """Return whether the scan is a file that zlib unpacks, for which Python's interpreter lock is free."""
    return isinstance(scan, str | Path) and str(scan).lower().endswith(".gz")


def _passes(loaded_models: Sequence[LoadedModel], scan_lps: Volume, *, tta: bool) -> list[LoadedModel]:
    """Return every model once, or once for each pixel size."""
    if not tta:
        return list(loaded_models)
    pixel_mm = float(np.mean(scan_lps.spacing_mm[:2]))
    return [view for loaded_model in loaded_models for view in loaded_model.views(pixel_mm)]


def _runs_on(loaded_models: Sequence[LoadedModel]) -> str:
    """Return what ran the networks; known only after they ran."""
    names = [backend_of(runner) for loaded_model in loaded_models for runner in loaded_model.runners]
    return "; ".join(dict.fromkeys(names))


def _on_grid_of(
    scan: Volume, scan_lps: Volume, prediction: RegionProbabilities
) -> tuple[Box | None, NDArray[np.float32]]:
    """Return the prediction's box and its (pancreas, tumour) probabilities in the scan's own orientation."""
    if prediction.box is None:
        return None, np.zeros((2, 0, 0, 0), np.float32)
    ends = np.array([prediction.box.start, [stop - 1 for stop in prediction.box.stop]])
    to_scan = np.linalg.solve(scan.affine, scan_lps.affine)
    turned = np.rint(ends @ to_scan[:3, :3].T + to_scan[:3, 3]).astype(int)
    region = Box(tuple(turned.min(axis=0)), tuple(turned.max(axis=0) + 1))
    patch, place = crop(scan_lps, prediction.box), crop(scan, region)
    parts = (prediction.organ - prediction.tumour, prediction.tumour)
    return region, np.stack([restore(patch.with_voxels(values), place).voxels for values in parts])

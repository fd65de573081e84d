"""From a scan to its segmentation: one scan's way, one line an arrow."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pancascade.checkpoint import TRAINED_ON, load_checkpoint
from pancascade.errors import PancascadeError
from pancascade.inference.doubts import doubts
from pancascade.inference.engine import HandOver, Progress, SliceEngine
from pancascade.inference.finding import Finding, combine
from pancascade.inference.models import DEFAULT_MODEL, Model, Step, find_model
from pancascade.inference.segmentation import Segmentation
from pancascade.inference.volume_engine import VolumeEngine
from pancascade.io import read_volume, require_ct
from pancascade.labels import Label
from pancascade.preprocessing import VolumeGrid, body_box
from pancascade.volume import Box, Volume, crop, reorient, restore

Engine = SliceEngine | VolumeEngine
"""A cascade on a device, for slices or for volumes."""


def segment(
    scan: str | Path | Volume,
    *,
    model: str = DEFAULT_MODEL,
    device: str = "cpu",
    series: str | None = None,
    progress: Progress | None = None,
) -> Segmentation:
    """Find the pancreas and its tumour in a CT scan.

    Args:
        scan: A file, a folder or zip archive with a CT series as DICOM, or a volume of Hounsfield units.
        model: A shipped model's name, or the path of a checkpoint.
        device: ``cpu`` or ``cuda``.
        series: Of DICOM, the series: its UID, its number, or a part of its description. None lets a rule choose.
        progress: Called after each batch of slices with what is being done, slices done, and slices in all.

    Returns:
        Mask and probabilities on exactly the scan's grid.

    Raises:
        ScanError: The scan cannot be read, or is no CT.
        UnknownModelError: There is no such model.
        CheckpointError: The model's weights are missing or damaged.
    """
    seconds: dict[str, float] = {}
    chosen = find_model(model)
    engines = load_engines(chosen, device)
    with _timed(seconds, "read"):
        volume = scan if isinstance(scan, Volume) else read_volume(scan, series=series)
        warnings = require_ct(volume)
    upright = reorient(volume, "LPS")
    finding = Finding.nothing()
    for step, engine in zip(chosen.steps, engines, strict=True):
        with _timed(seconds, Path(step.weights).stem):
            field = field_of(step, upright, organ=finding.organ_box())
            finding = look(upright, finding, step, engine, field=field, progress=progress)
    with _timed(seconds, "put back"):
        labels = finding.labels(
            upright.shape,
            voxel_ml=upright.voxel_volume_ml,
            organ_threshold=chosen.organ_threshold,
            tumour_threshold=chosen.tumour_threshold,
        )
        mask = restore(upright.with_voxels(labels), volume)
        region, probabilities = _on_grid_of(volume, upright, finding)
    said = (*warnings, *doubts(mask))
    return Segmentation(volume, mask, region, probabilities, chosen.name, said, seconds, _trained_on(chosen, engines))


def field_of(step: Step, upright: Volume, *, organ: Box | None) -> Box | None:
    """Where a step works: the body, or around the organ; None without an organ to work around."""
    if step.field == "scan":
        return body_box(upright)
    return None if organ is None else organ.expand_mm(step.margin_mm, spacing_mm=upright.spacing_mm).clip(upright.shape)


def look(
    upright: Volume,
    finding: Finding,
    step: Step,
    engine: Engine,
    *,
    field: Box | None,
    progress: Progress | None = None,
    hand_over: HandOver | None = None,
) -> Finding:
    """What is known after one more step that works in a field; unchanged without a field."""
    if field is None:
        return finding
    belief = None
    if step.locator == "before":
        tumour_only = engine.cascade.first_target == (Label.TUMOUR,)
        belief = finding.tumour_in(field) if tumour_only else finding.organ_in(field)
    found = engine.find(crop(upright, field), at=field, belief=belief, progress=progress, hand_over=hand_over)
    return found if step.field == "scan" else combine(finding, found, field=field, weight=step.organ_weight)


def load_engines(model: Model, device: str) -> list[Engine]:
    """The cascades of a model's steps, on a device.

    Raises:
        PancascadeError: The device cannot be used.
        CheckpointError: Weights are missing or damaged.
    """
    try:
        chosen = torch.device(device)
        return [load_engine(model.folder / step.weights, chosen, consistent=step.consistent) for step in model.steps]
    except (RuntimeError, AssertionError) as error:
        raise PancascadeError(f"Device {device!r} cannot be used ({str(error).splitlines()[0]}). Try cpu.") from error


def load_engine(weights: Path, device: torch.device, *, consistent: bool = True) -> Engine:
    """A checkpoint's cascade on a device.

    Raises:
        CheckpointError: Weights are missing or damaged.
    """
    cascade, description = load_checkpoint(weights)
    trained_on = tuple(description.training.get(TRAINED_ON, ()))
    if isinstance(description.canvas, VolumeGrid):
        return VolumeEngine(cascade.to(device), description.canvas, device, trained_on)
    return SliceEngine(cascade.to(device), description.canvas, device, consistent, trained_on)


def _trained_on(model: Model, engines: Sequence[Engine]) -> tuple[dict[str, Any], ...]:
    """Whom any of the cascades has learned from; those of one model often share a record."""
    records = [record.model_dump(mode="json") for record in model.trained_on]
    records += [record for engine in engines for record in engine.trained_on]
    return tuple(record for place, record in enumerate(records) if record not in records[:place])


def _on_grid_of(scan: Volume, upright: Volume, finding: Finding) -> tuple[Box | None, NDArray[np.float16]]:
    """The finding's box and (pancreas, tumour) probabilities, turned back to the scan's own axes."""
    inside = np.zeros(upright.shape, np.uint8)
    if finding.box is not None:
        inside[finding.box.slices] = 1
    region = Box.around(restore(upright.with_voxels(inside), scan).voxels)
    if region is None or finding.box is None:
        return None, np.zeros((2, 0, 0, 0), np.float16)
    patch = crop(upright, finding.box)
    place = crop(scan, region)
    turned = [
        restore(patch.with_voxels(values.astype(np.float16)), place).voxels
        for values in (finding.organ - finding.tumour, finding.tumour)
    ]
    return region, np.stack(turned)


@contextmanager
def _timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[what] = round(seconds.get(what, 0.0) + time.perf_counter() - started, 3)

"""Pictures of the worst cases: axial slices with the contours of reference and prediction."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pancascade.errors import GeometryError, PancascadeError
from pancascade.evaluation import CaseRecord, Comparison, Evaluation, Protocol, worst_cases
from pancascade.imaging.io import read_volume
from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import Box, Volume, as_label_map, crop, reorient, resample_onto, restore
from pancascade.report.figures import embed, new_figure

REFERENCE, PREDICTION = "#56b4e9", "#ffa726"
"""Blue and orange: colour-blind readers can distinguish them, also on grey."""

SLICES, MOST_PICTURES = 3, 16
MARGIN_MM = 20.0
WINDOW = Window(lower_hu=-100, upper_hu=240)
_SAME_PLACE = 0.05
"""Two grids whose voxels differ by less than this share of a voxel are the same grid."""


class Wanted(NamedTuple):
    """A case to draw: its method, target and record."""

    method: str
    target: str
    record: CaseRecord


@dataclass(frozen=True)
class Picture:
    """One worst case of a method.

    Attributes:
        wanted: The case.
        image: ``data:`` address; None where a file cannot be read any more.
        note: Why there is no image, or no scan behind the contours.
    """

    wanted: Wanted
    image: str | None
    note: str


class MaskSlices(NamedTuple):
    """The part of a case that is drawn, in LPS orientation, cropped to the masks with a margin.

    Attributes:
        reference: (I, J, K) bool.
        prediction: (I, J, K) bool.
        scan: (I, J, K) Hounsfield units; None without a scan.
        spacing_mm: Voxel size along each axis.
        first_slice: Index of the first slice in the whole scan, counted from the feet.
        slice_count: Number of slices of the whole scan.
    """

    reference: NDArray[np.bool_]
    prediction: NDArray[np.bool_]
    scan: NDArray[Any] | None
    spacing_mm: tuple[float, float, float]
    first_slice: int
    slice_count: int


def choose_pictures(evaluations: Sequence[Evaluation], comparison: Comparison, targets: Sequence[str]) -> list[Wanted]:
    """Choose the worst cases to draw: three for each method, one for more than four methods, at most 16.

    If 16 are too few, each target and method gets its worst case first, better ranked methods before others.

    Args:
        evaluations: Evaluations of the methods.
        comparison: Values of the methods by case.
        targets: The targets.
    """
    count = 3 if len(evaluations) <= 4 else 1
    worst: dict[str, dict[str, list[CaseRecord]]] = {}
    for target in targets:
        first = next(entry for entry in comparison.metrics if entry.target == target)
        by_name = {evaluation.method: evaluation for evaluation in evaluations}
        order = [rank.name for rank in first.ranks] or list(by_name)
        worst[target] = {name: _worst_shown(by_name[name], comparison, target, count) for name in order}
    turns = [(turn, place, target) for turn in range(count) for place in range(len(evaluations)) for target in targets]
    chosen = []
    for turn, place, target in turns:
        method, records = list(worst[target].items())[place]
        if turn < len(records):
            chosen.append(((targets.index(target), place, turn), Wanted(method, target, records[turn])))
    return [wanted for _, wanted in sorted(chosen[:MOST_PICTURES], key=lambda pair: pair[0])]


def _worst_shown(evaluation: Evaluation, comparison: Comparison, target: str, count: int) -> list[CaseRecord]:
    """Return a method's worst cases that have something to draw."""
    records = {record.case: record for record in evaluation.cases}
    names = worst_cases(comparison, evaluation.method, target=target, count=len(records))
    found = [records[name] for name in names if records[name].shape[0]]  # slices without a volume have no files
    totals = [record.targets[target].total for record in found]
    shown = [record for record, c in zip(found, totals, strict=True) if c.reference_size or c.prediction_size]
    return shown[:count]


def draw_gallery(wanted: Sequence[Wanted], protocol: Protocol, scans: Mapping[str, Path]) -> list[Picture]:
    """Read the files again and draw the cases; an unreadable file leaves out only its own picture.

    Args:
        wanted: The cases.
        protocol: Protocol with the label values.
        scans: CT scan by case, where there is one.
    """
    pictures = []
    for entry in wanted:
        try:
            masks = read_masks(entry, protocol)
            scan, note = read_scan(scans.get(entry.record.case))
            view = crop_to_masks(*masks, scan=scan)
            pictures.append(Picture(entry, None if view is None else embed(draw_strip(view)), note))
        except (PancascadeError, OSError, ValueError, MemoryError) as error:
            pictures.append(Picture(entry, None, f"no picture: {error}"))
    return pictures


def read_masks(wanted: Wanted, protocol: Protocol) -> tuple[Volume, Volume]:
    """Return reference and prediction as LPS masks on the reference's grid."""
    record, target = wanted.record, wanted.target
    truth = _read_lps(Path(record.reference))
    reference = _mask(truth, protocol.labels_of_reference(target))
    if record.prediction is None:
        return reference, truth.with_voxels(np.zeros(truth.shape, dtype=bool))
    return reference, _mask(onto(_read_lps(Path(record.prediction)), truth), protocol.labels[target])


def read_scan(path: Path | None) -> tuple[Volume | None, str]:
    """Return the LPS scan, or the reason why there is none; without a path the reason is empty."""
    if path is None:
        return None, ""
    try:
        return _read_lps(path), ""
    except (PancascadeError, OSError, ValueError, MemoryError) as error:
        return None, f"without its scan: {error}"


def _read_lps(path: Path) -> Volume:
    return reorient(read_volume(path), "LPS")


def _mask(labels: Volume, values: tuple[int, ...]) -> Volume:
    """Return where the labels have these values; only the box of the foreground is compared, which saves time."""
    labels = as_label_map(labels)
    mask = np.zeros(labels.shape, dtype=bool)
    box = Box.around(labels.voxels)
    if box is not None:
        mask[box.slices] = np.isin(labels.voxels[box.slices], values)
    return labels.with_voxels(mask)


def onto(labels: Volume, grid: Volume) -> Volume:
    """Return a label map on another grid, resampled to the nearest voxel if the grids differ."""
    if labels.on_same_grid_as(grid, tolerance_mm=_SAME_PLACE * min(grid.spacing_mm)):
        return labels
    with suppress(GeometryError):
        return restore(labels, grid)
    return resample_onto(labels, grid, order=0)


def crop_to_masks(reference: Volume, prediction: Volume, *, scan: Volume | None = None) -> MaskSlices | None:
    """Return the part of a case that is drawn: the box of both masks with `MARGIN_MM` in each slice.

    Args:
        reference: LPS mask.
        prediction: LPS mask on the same grid.
        scan: Hounsfield units, on any grid.

    Returns:
        The part; None if both masks are empty.
    """
    box = Box.around(reference.voxels | prediction.voxels)
    if box is None:
        return None
    spacing = reference.spacing_mm
    wide = box.expand_mm((MARGIN_MM, MARGIN_MM, 0), spacing_mm=spacing).clip(reference.shape)
    place = crop(reference, wide)
    behind = None
    if scan is not None:
        same = scan.on_same_grid_as(reference, tolerance_mm=_SAME_PLACE * min(spacing))
        behind = (crop(scan, wide) if same else resample_onto(scan, place, order=1, fill=-1024)).voxels
    return MaskSlices(place.voxels, prediction.voxels[wide.slices], behind, spacing, wide.start[2], reference.shape[2])


def choose_slices(reference: NDArray[np.bool_], prediction: NDArray[np.bool_]) -> list[int]:
    """Choose the axial slice with the largest error, and two from the other thirds of the slices with a mask.

    Args:
        reference: (I, J, K) mask.
        prediction: (I, J, K) mask, not both empty.

    Returns:
        Slice indices, the largest error first, then from the head down; fewer than three if fewer show a mask.
    """
    shown = np.flatnonzero((reference | prediction).any(axis=(0, 1)))
    errors = np.count_nonzero(reference ^ prediction, axis=(0, 1))
    first = int(shown[np.argmax(errors[shown])])
    spread = np.quantile(shown, [1 / 6, 1 / 2, 5 / 6], method="nearest")
    nearest = int(np.argmin(np.abs(spread - first)))
    others = {int(k) for k in np.delete(spread, nearest)} - {first}
    return [first, *sorted(others, reverse=True)]


def draw_strip(view: MaskSlices) -> Figure:
    """Draw slices side by side in the radiological view: the patient's right on the left, the front on top."""
    chosen = choose_slices(view.reference, view.prediction)
    width_mm, height_mm = (n * mm for n, mm in zip(view.reference.shape[:2], view.spacing_mm[:2], strict=True))
    height = min(2.5, 3.1 * height_mm / width_mm)
    figure = new_figure(3.2 * SLICES, height + 0.6)
    figure.subplots_adjust(left=0.003, right=0.997, bottom=0.01, top=height / (height + 0.6), wspace=0.02)
    for place, k in enumerate(chosen):
        axes = figure.add_subplot(1, SLICES, place + 1)
        draw_slice(axes, view, k)
        what = "largest error, " if place == 0 else ""
        axes.set_title(f"{what}slice {view.first_slice + k + 1} of {view.slice_count} from the feet", fontsize=9)
    handles = [Line2D([], [], color=colour, linewidth=3) for colour in (REFERENCE, PREDICTION)]
    figure.legend(handles, ["reference", "prediction"], loc="upper left", ncols=2, frameon=False, fontsize=9)
    return figure


def draw_slice(axes: Any, view: MaskSlices, k: int) -> None:
    """Draw one axial slice of a view with both contours; without a scan on grey, with the errors tinted."""
    reference, prediction = view.reference[:, :, k].T, view.prediction[:, :, k].T
    picture = _shade(reference, prediction) if view.scan is None else WINDOW.apply(view.scan[:, :, k].T)
    axes.imshow(picture, aspect=view.spacing_mm[1] / view.spacing_mm[0], cmap="gray", vmin=0, vmax=1)
    rows, columns = (np.arange(-1, size + 1) for size in reference.shape)
    for mask, colour in ((reference, REFERENCE), (prediction, PREDICTION)):
        if mask.any():  # padded, so that a contour closes at the edge of the scan
            axes.contour(columns, rows, np.pad(mask, 1), [0.5], colors=colour, linewidths=1.3)
    axes.text(0.015, 0.5, "R", transform=axes.transAxes, color="white", fontsize=9, va="center")
    axes.set(xlim=(-0.5, reference.shape[1] - 0.5), ylim=(reference.shape[0] - 0.5, -0.5), xticks=[], yticks=[])


def _shade(reference: NDArray[np.bool_], prediction: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return plain grey with tinted errors for a case without a scan: (J, I, 3)."""
    picture = np.full((*reference.shape, 3), 0.25)
    for wrong, colour in ((reference & ~prediction, REFERENCE), (prediction & ~reference, PREDICTION)):
        picture[wrong] = 0.6 * picture[wrong] + 0.4 * np.array(to_rgb(colour))
    return picture

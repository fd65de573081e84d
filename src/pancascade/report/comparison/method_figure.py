"""The papers' qualitative figure: methods side by side on the same slices, with contours."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pancascade.errors import DataError, OutputError
from pancascade.evaluation import CaseRecord, Comparison, Evaluation, Protocol
from pancascade.files.atomic import written_whole
from pancascade.imaging.volume import Box, Volume, crop, resample_onto
from pancascade.report.comparison.gallery import (
    MARGIN_MM,
    PREDICTION,
    REFERENCE,
    MaskSlices,
    Wanted,
    draw_slice,
    read_masks,
    read_scan,
)
from pancascade.report.figures import new_figure, shorten

ROWS = 4
SUFFIXES = (".png", ".pdf", ".svg")
_CELL_INCHES, _DPI = 2.1, 200


class FigureRow(NamedTuple):
    """One slice with the masks of each method.

    Attributes:
        views: A single axial slice for each method, all with the same crop.
    """

    views: dict[str, MaskSlices]


def write_method_figure(
    path: Path, evaluations: Sequence[Evaluation], comparison: Comparison, *, target: str, scans: Mapping[str, Path]
) -> None:
    """Write the figure: a row for each case, from the best mean value of all methods to the worst; a column a method.

    Args:
        path: ``.png``, ``.pdf`` or ``.svg``.
        evaluations: Evaluations of the methods, in the order of the columns.
        comparison: Values of the methods by case.
        target: The target that is drawn.
        scans: CT scan by case; other cases are drawn on grey.

    Raises:
        OutputError: The suffix is not supported, or the file cannot be written.
        DataError: No whole scan shows the target and has masks of all methods.
    """
    require_suffix(path)
    figure = draw_methods(rows_of(evaluations, comparison, target=target, scans=scans))
    with written_whole(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=_DPI)


def require_suffix(path: Path) -> None:
    """Refuse a file whose suffix is not supported.

    Raises:
        OutputError: The suffix is not supported.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path.name}: a figure is a {', '.join(SUFFIXES)} file. Give it one of these suffixes.")


def rows_of(
    evaluations: Sequence[Evaluation], comparison: Comparison, *, target: str, scans: Mapping[str, Path]
) -> list[FigureRow]:
    """Choose `ROWS` cases spread over the methods' mean value, and in each the slice with most of the target.

    Raises:
        DataError: No whole scan shows the target and has masks of all methods.
    """
    first = next(entry for entry in comparison.metrics if entry.target == target)
    records = [{record.case: record for record in evaluation.cases} for evaluation in evaluations]
    shown = {}
    for place, case in enumerate(comparison.cases):
        found = [by_name[case] for by_name in records if case in by_name]
        values = [column[place] for column in first.values.values()]
        if len(found) == len(records) and all(_has_files(one, target) for one in found):
            mean = float(np.mean(values))
            shown[case] = mean if math.isfinite(mean) else 0.0
    if not shown:
        raise DataError("--figure: no whole scan shows the target and has masks of all methods. Leave it out.")
    order = sorted(shown, key=lambda case: -shown[case])
    chosen = [order[place] for place in np.unique(np.linspace(0, len(order) - 1, ROWS).round().astype(int))]
    names = [evaluation.method for evaluation in evaluations]
    protocol = comparison.protocol
    return [
        _row({name: by_name[case] for name, by_name in zip(names, records, strict=True)}, target, protocol, scans)
        for case in chosen
    ]


def draw_methods(rows: Sequence[FigureRow]) -> Figure:
    """Draw the rows as a grid of slices in the radiological view."""
    names = list(rows[0].views)
    figure = new_figure(_CELL_INCHES * len(names), _CELL_INCHES * len(rows) + 0.6)
    top = 1 - 0.55 / (_CELL_INCHES * len(rows) + 0.6)
    figure.subplots_adjust(left=0.004, right=0.996, bottom=0.004, top=top, wspace=0.02, hspace=0.02)
    for row, shown in enumerate(rows):
        for column, name in enumerate(names):
            axes = figure.add_subplot(len(rows), len(names), row * len(names) + column + 1)
            draw_slice(axes, shown.views[name], 0)
            if row == 0:
                axes.set_title(shorten(name, length=22), fontsize=9, parse_math=False)
    handles = [Line2D([], [], color=colour, linewidth=3) for colour in (REFERENCE, PREDICTION)]
    figure.legend(handles, ["reference", "prediction"], loc="upper left", ncols=2, frameon=False, fontsize=8)
    return figure


def _has_files(record: CaseRecord, target: str) -> bool:
    return record.shape[0] > 0 and record.targets[target].total.reference_size > 0


def _row(records: Mapping[str, CaseRecord], target: str, protocol: Protocol, scans: Mapping[str, Path]) -> FigureRow:
    masks = {name: read_masks(Wanted(name, target, record), protocol) for name, record in records.items()}
    reference, _ = next(iter(masks.values()))
    k = int(np.count_nonzero(reference.voxels, axis=(0, 1)).argmax())
    everything = reference.voxels.copy()
    for _, prediction in masks.values():
        everything |= prediction.voxels
    inside = Box.around(everything[:, :, k : k + 1])
    if inside is None:
        raise DataError("--figure: a case shows no mask in its chosen slice. Evaluate again.")
    wide = Box((*inside.start[:2], k), (*inside.stop[:2], k + 1))
    wide = wide.expand_mm((MARGIN_MM, MARGIN_MM, 0), spacing_mm=reference.spacing_mm).clip(reference.shape)
    scan, _ = read_scan(scans.get(next(iter(records.values())).case))
    behind = _behind(scan, reference, wide)
    return FigureRow(
        {
            name: MaskSlices(
                reference.voxels[wide.slices],
                prediction.voxels[wide.slices],
                behind,
                reference.spacing_mm,
                k,
                reference.shape[2],
            )
            for name, (_, prediction) in masks.items()
        }
    )


def _behind(scan: Volume | None, reference: Volume, wide: Box) -> NDArray[np.generic] | None:
    if scan is None:
        return None
    place = crop(reference, wide)
    same = scan.on_same_grid_as(reference, tolerance_mm=0.05 * min(reference.spacing_mm))
    return (crop(scan, wide) if same else resample_onto(scan, place, order=1, fill=-1024)).voxels

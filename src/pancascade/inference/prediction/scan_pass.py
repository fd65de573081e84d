"""Run the papers' pass on a whole scan: slice by slice for 2-D cascades, as a volume for 3-D ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pancascade.data.readers import AxialSlice
from pancascade.data.readers.case import LabelledScan, hounsfield_notices
from pancascade.imaging.postprocessing import decide
from pancascade.imaging.volume import Volume, reorient, restore
from pancascade.inference.prediction.slice_pass import slice_probabilities
from pancascade.inference.runners.loading import Runner
from pancascade.inference.runners.slice_runner import SliceRunner
from pancascade.labels import Label


@dataclass(frozen=True)
class ScanAnswer:
    """Result of a cascade on one scan.

    Attributes:
        mask: Labels uint8 on the scan's own grid.
        probabilities: Float16 map of each label on that grid; empty if not requested.
    """

    mask: Volume
    probabilities: dict[Label, Volume]


def read_for_pass(scan: LabelledScan) -> Volume:
    """Read a scan in Hounsfield units as it is stored; its label map is not read.

    Raises:
        NotCTError: The scan is no CT in Hounsfield units.
        ScanError: It cannot be read.
    """
    image = scan.read_image()
    if not scan.region:
        hounsfield_notices(image)
    return image


def run_scan(runner: Runner, scan: Volume, *, probabilities: bool = False) -> ScanAnswer:
    """Run the papers' pass on a scan and threshold the probabilities at ½.

    Args:
        runner: A cascade on a device.
        scan: Hounsfield units, any orientation.
        probabilities: Whether to keep the probability maps.
    """
    scan_lps = scan_lps_hu(scan)
    labels = np.zeros(scan_lps.shape, np.uint8)
    maps = {label: np.zeros(scan_lps.shape, np.float16) for label in runner.cascade.labels} if probabilities else {}
    if isinstance(runner, SliceRunner):
        stacks = [(0, lps_slices(scan_lps))]
        for k, (_, _, found) in enumerate(slice_probabilities(runner, stacks)):
            labels[:, :, k] = decide(found[None])[0].T
            for label, values in maps.items():
                values[:, :, k] = found[_channel(runner, label)].T
    elif (answer := runner.run_alone(scan_lps)) is not None:
        box, found = answer
        labels[box.slices] = decide(found[None])[0]
        for label, values in maps.items():
            values[box.slices] = found[_channel(runner, label)]
    return ScanAnswer(
        _on_own_grid(labels, scan_lps, scan), {k: _on_own_grid(v, scan_lps, scan) for k, v in maps.items()}
    )


def scan_lps_hu(scan: Volume) -> Volume:
    """Return the scan oriented LPS as int16 Hounsfield units, as in training; without a copy if it has that form."""
    scan_lps = reorient(scan, "LPS")
    if scan_lps.voxels.dtype == np.int16:
        return scan_lps
    limits = np.iinfo(np.int16)
    return scan_lps.with_voxels(np.clip(scan_lps.voxels, limits.min, limits.max).astype(np.int16))


def lps_slices(scan_lps: Volume, labels: NDArray[np.uint8] | None = None) -> list[AxialSlice]:
    """Return the axial slices of an LPS scan, feet first, as views of its voxels: row 0 anterior, column 0 right.

    Args:
        scan_lps: The scan.
        labels: (I, J, K) on its grid; None for empty label maps.
    """
    return list(_each_slice(scan_lps, labels))


def _each_slice(scan_lps: Volume, labels: NDArray[np.uint8] | None) -> Iterator[AxialSlice]:
    column_mm, row_mm, slice_mm = scan_lps.spacing_mm
    empty = np.zeros(scan_lps.shape[1::-1], np.uint8)
    for k in range(scan_lps.shape[2]):
        marked = empty if labels is None else labels[:, :, k].T
        yield AxialSlice(f"{k:03d}", "", scan_lps.voxels[:, :, k].T, marked, (row_mm, column_mm), slice_mm)


def _channel(runner: Runner, label: Label) -> int:
    return 1 + runner.cascade.labels.index(label)


def _on_own_grid(values: NDArray[np.generic], scan_lps: Volume, scan: Volume) -> Volume:
    return restore(scan_lps.with_voxels(values), scan)

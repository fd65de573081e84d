"""Fit a model's calibration: which voxels count, and the weight of each patient.

Voxels count if the model gives the target a probability of at least `FAINT`. All other voxels are certain background;
they would fill a region of any size and make every model look calibrated. The choice uses the model's probabilities
only, because a choice by the reference would bias the curve: voxels of the target below `FAINT` are counted separately
as missed. All patients have the same weight, whatever the size of the organ and the thickness of the slices.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import DataError
from pancascade.inference.localization.region_probabilities import FAINT
from pancascade.inference.models.model_calibration import CalibrationQuality
from pancascade.metrics.calibration import Reliability, Scaling, apply_scaling, fit_scaling, fit_temperature
from pancascade.metrics.voxel_counts import VoxelCounts


@dataclass(frozen=True, eq=False)
class TargetCounts:
    """Counts of voxels of one or several patients for one target.

    Attributes:
        counts: Counts of the voxels that count, by probability.
        voxels: Number of voxels that count.
        missed: Number of the target's voxels that do not count.
        patients: Number of patients with voxels that count.
    """

    counts: VoxelCounts
    voxels: int
    missed: int
    patients: int

    @classmethod
    def of(
        cls, probability: NDArray[np.floating[Any]], truth: NDArray[np.bool_], *, outside: int = 0
    ) -> "TargetCounts":
        """Count the voxels of one patient.

        Args:
            probability: Any shape.
            truth: Reference mask of the same shape.
            outside: Number of the target's voxels elsewhere, where the probability is 0.
        """
        counts = VoxelCounts.of(probability, truth, least=FAINT)
        voxels, found = round(counts.total), round(float(counts.weight[1].sum()))
        return cls(counts, voxels, int(np.count_nonzero(truth)) - found + outside, int(voxels > 0))

    @classmethod
    def together(cls, parts: Iterable["TargetCounts"]) -> "TargetCounts":
        """Add up several scans, or slices, of one patient."""
        parts = list(parts)
        counts = reduce(VoxelCounts.__add__, (part.counts for part in parts), VoxelCounts.nothing())
        voxels = sum(part.voxels for part in parts)
        return cls(counts, voxels, sum(part.missed for part in parts), int(voxels > 0))

    @classmethod
    def of_patients(cls, patients: Sequence["TargetCounts"]) -> "TargetCounts":
        """Add up several patients with the same weight each."""
        counts = reduce(VoxelCounts.__add__, (one.counts.as_one() for one in patients), VoxelCounts.nothing())
        return cls(
            counts,
            sum(one.voxels for one in patients),
            sum(one.missed for one in patients),
            sum(one.patients for one in patients),
        )


class Reliabilities(NamedTuple):
    """Reliability before and after scaling."""

    before: Reliability
    after: Reliability


def best_scaling(pooled: TargetCounts, *, temperature_only: bool = False) -> Scaling:
    """Fit one scaling to the voxels of all patients.

    Args:
        pooled: Voxels that count.
        temperature_only: Fit no offset.

    Raises:
        DataError: No scaling can be fitted.
    """
    probabilities, truth, weights = pooled.counts.samples()
    if temperature_only:
        return Scaling(fit_temperature(probabilities, truth, weights=weights))
    return fit_scaling(probabilities, truth, weights=weights)


def held_out_gain(patients: Sequence[TargetCounts], *, temperature_only: bool = False) -> float | None:
    """Return the mean gain in a patient's negative log-likelihood by a scaling fitted on the other patients.

    A scaling always looks better on its own voxels; this estimates the gain on a new patient.

    Args:
        patients: One entry a patient; those without voxels that count are left out.
        temperature_only: Fit no offset.

    Returns:
        The gain; None for fewer than two patients, or if no scaling can be fitted to the others' voxels.
    """
    seen = [one for one in patients if one.patients]
    if len(seen) < 2:
        return None
    gains = []
    for place, one in enumerate(seen):
        try:
            others = TargetCounts.of_patients([*seen[:place], *seen[place + 1 :]])
            scaling = best_scaling(others, temperature_only=temperature_only)
        except DataError:
            return None
        before, after = reliabilities(one, scaling)
        gains.append(before.nll - after.nll)
    return float(np.mean(gains))


def reliabilities(pooled: TargetCounts, scaling: Scaling) -> Reliabilities:
    """Return the reliability of the voxels that count, before and after scaling.

    Raises:
        DataError: There are no voxels.
    """
    said, truth, weights = pooled.counts.samples()
    scaled = apply_scaling(said, scaling)
    return Reliabilities(*(Reliability.of(values, truth, weights=weights) for values in (said, scaled)))


def quality_of(pooled: TargetCounts, scaling: Scaling) -> CalibrationQuality:
    """Return the effect of a scaling on the voxels that count; it may have been fitted on other voxels.

    Raises:
        DataError: There are no voxels.
    """
    before, after = reliabilities(pooled, scaling)
    return CalibrationQuality(
        patients=pooled.patients,
        voxels=pooled.voxels,
        missed_voxels=pooled.missed,
        ece_before=before.ece,
        ece_after=after.ece,
        brier_before=before.brier,
        brier_after=after.brier,
        nll_before=before.nll,
        nll_after=after.nll,
    )

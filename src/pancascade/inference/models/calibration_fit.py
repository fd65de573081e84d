"""Fitting a model's calibration: which voxels count, and what each patient weighs.

Voxels count where the model gives the target a probability of at least `FAINT`: where it looked and saw something. The
rest of a scan is sure background, would fill any region however wide, and would make every model look calibrated. The
choice goes by what the model says alone, since a choice by the truth bends the curve: voxels of the target that the
model gives less than `FAINT` are told apart as missed. Each patient counts the same, however large the organ and
however thin the slices.
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
    """What one or several patients' voxels say about one target.

    Attributes:
        counts: Of the voxels that count.
        voxels: How many count.
        missed: Voxels of the target that do not count.
        patients: With voxels that count.
    """

    counts: VoxelCounts
    voxels: int
    missed: int
    patients: int

    @classmethod
    def of(
        cls, probability: NDArray[np.floating[Any]], truth: NDArray[np.bool_], *, outside: int = 0
    ) -> "TargetCounts":
        """Count a patient's voxels.

        Args:
            probability: Of any shape.
            truth: Of the same shape.
            outside: Voxels of the target elsewhere, where the probability is 0.
        """
        counts = VoxelCounts.of(probability, truth, least=FAINT)
        voxels, found = round(counts.total), round(float(counts.weight[1].sum()))
        return cls(counts, voxels, int(np.count_nonzero(truth)) - found + outside, int(voxels > 0))

    @classmethod
    def together(cls, parts: Iterable["TargetCounts"]) -> "TargetCounts":
        """The voxels of several scans, or slices, of one patient."""
        parts = list(parts)
        counts = reduce(VoxelCounts.__add__, (part.counts for part in parts), VoxelCounts.nothing())
        voxels = sum(part.voxels for part in parts)
        return cls(counts, voxels, sum(part.missed for part in parts), int(voxels > 0))

    @classmethod
    def of_patients(cls, patients: Sequence["TargetCounts"]) -> "TargetCounts":
        """The voxels of several patients, who count the same."""
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
    """The scaling of all patients' voxels.

    Args:
        pooled: Voxels that count.
        temperature_only: Fit no offset.

    Raises:
        DataError: None can be fitted.
    """
    probabilities, truth, weights = pooled.counts.samples()
    if temperature_only:
        return Scaling(fit_temperature(probabilities, truth, weights=weights))
    return fit_scaling(probabilities, truth, weights=weights)


def held_out_gain(patients: Sequence[TargetCounts], *, temperature_only: bool = False) -> float | None:
    """By how much a scaling fitted on the others lowers a patient's negative log-likelihood, mean over patients.

    What is fitted looks better on its own voxels by construction; this asks whether it would on another patient.

    Args:
        patients: One entry each; those without voxels that count are left out.
        temperature_only: Fit no offset.

    Returns:
        None for fewer than two patients, or where the others' voxels fit no scaling.
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
    """Reliability of counted voxels before and after scaling.

    Raises:
        DataError: There are no voxels.
    """
    said, truth, weights = pooled.counts.samples()
    scaled = apply_scaling(said, scaling)
    return Reliabilities(*(Reliability.of(values, truth, weights=weights) for values in (said, scaled)))


def quality_of(pooled: TargetCounts, scaling: Scaling) -> CalibrationQuality:
    """What a scaling changes on counted voxels, whether it was fitted on these or on others.

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

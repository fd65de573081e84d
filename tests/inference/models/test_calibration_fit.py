import numpy as np
import pytest

from pancascade.errors import DataError
from pancascade.inference.models.calibration_fit import (
    TargetCounts,
    best_scaling,
    held_out_gain,
    quality_of,
    reliabilities,
)


def _patient(temperature, *, voxels=20_000, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-0.5, 1.5, voxels)
    truth = rng.random(voxels) < 1 / (1 + np.exp(-logits / temperature))
    return TargetCounts.of(1 / (1 + np.exp(-logits)), truth)


def test_voxels_count_where_the_model_saw_something_and_others_of_the_target_are_missed():
    probability = np.array([[0.0, 0.01, 0.03], [0.5, 0.9, 0.0]])
    truth = np.array([[1, 0, 0], [1, 1, 1]], bool)
    found = TargetCounts.of(probability, truth, outside=10)
    assert (found.voxels, found.missed, found.patients) == (3, 12, 1)


def test_a_patient_in_whom_nothing_was_seen_is_no_patient_of_the_fit():
    nothing = TargetCounts.of(np.zeros(5), np.ones(5, bool))
    pooled = TargetCounts.of_patients([nothing, _patient(2)])
    assert (pooled.patients, pooled.missed) == (1, 5 + _patient(2).missed)
    assert _temperature(nothing, _patient(2)) == pytest.approx(_temperature(_patient(2)))


def test_a_patient_of_many_voxels_or_scans_counts_as_one():
    small, large = _patient(1, voxels=20_000), _patient(3, voxels=200_000, seed=1)
    pooled = _temperature(small, large)
    assert pooled == pytest.approx(_temperature(_patient(1), _patient(3)), rel=0.05)
    assert pooled == pytest.approx(_temperature(small, _split_in_two(large)))


def _temperature(*patients):
    return best_scaling(TargetCounts.of_patients(patients), temperature_only=True).temperature


def _split_in_two(patient):
    half = TargetCounts(patient.counts.as_one(), patient.voxels // 2, 0, 1)
    return TargetCounts.together([half, half])


def test_a_fit_tells_what_it_changes():
    pooled = TargetCounts.of_patients([_patient(3), _patient(3, seed=1)])
    scaling = best_scaling(pooled)
    quality = quality_of(pooled, scaling)
    assert scaling == pytest.approx((3, 0), rel=0.05, abs=0.05)
    assert quality.patients == 2
    assert quality.voxels == pooled.voxels
    assert quality.ece_before > 0.1
    assert quality.ece_after < 0.02
    assert quality.nll_after < quality.nll_before
    assert quality.brier_after < quality.brier_before
    found = reliabilities(pooled, scaling)
    assert (found.before.ece, found.after.ece) == (quality.ece_before, quality.ece_after)


def test_a_temperature_that_patients_share_gains_on_those_left_out():
    assert held_out_gain([_patient(3, seed=seed) for seed in range(4)]) > 0.05


def test_a_temperature_that_patients_do_not_share_gains_nothing_on_those_left_out():
    assert held_out_gain([_patient(0.4), _patient(4.0, seed=1)]) < -0.05


def test_of_one_patient_nothing_is_known():
    assert held_out_gain([_patient(2)]) is None
    assert held_out_gain([_patient(2), TargetCounts.of(np.zeros(5), np.ones(5, bool))]) is None


def test_no_voxels_cannot_be_fitted():
    with pytest.raises(DataError, match="none of them is true"):
        best_scaling(TargetCounts.of_patients([]))

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from pancascade.errors import DataError
from pancascade.metrics.calibration import (
    Reliability,
    Scaling,
    apply_scaling,
    fit_scaling,
    fit_temperature,
)
from pancascade.metrics.voxel_counts import VoxelCounts


def with_temperature(probabilities, temperature):
    return apply_scaling(probabilities, Scaling(temperature))


def _said_too_boldly(temperature, *, count=200_000, seed=0):
    """Probabilities that come true as often as sigmoid(logit / T) says."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 2, count)
    truth = rng.random(count) < 1 / (1 + np.exp(-logits / temperature))
    return 1 / (1 + np.exp(-logits)), truth


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_found(temperature):
    assert fit_temperature(*_said_too_boldly(temperature)) == pytest.approx(temperature, rel=0.02)


@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_counted_voxels_give_the_temperature_of_the_voxels_themselves(temperature):
    p, truth = _said_too_boldly(temperature)
    counts = VoxelCounts.of(p[:1000], truth[:1000]) + VoxelCounts.of(p[1000:], truth[1000:])
    said, came_true, weights = counts.samples()
    assert counts.total == len(p)
    assert fit_temperature(said, came_true, weights=weights) == pytest.approx(fit_temperature(p, truth), rel=1e-3)


def test_a_weight_is_a_number_of_voxels():
    p, truth = _said_too_boldly(2.0, count=2000)
    times = np.random.default_rng(1).integers(0, 4, len(p))
    repeated = fit_temperature(np.repeat(p, times), np.repeat(truth, times))
    assert fit_temperature(p, truth, weights=times) == pytest.approx(repeated, rel=1e-6)


def test_certainties_that_are_sometimes_wrong_are_cooled_to_their_share_of_truth():
    p = np.repeat([0.0, 1.0], 1000)
    truth = np.concatenate([np.arange(1000) < 100, np.arange(1000) >= 100])
    assert fit_temperature(p, truth) == pytest.approx(8 / np.log(9), rel=1e-3)


@pytest.mark.parametrize(("truth", "which"), [(False, "none of them is true"), (True, "all of them are true")])
def test_without_both_kinds_there_is_no_temperature(truth, which):
    with pytest.raises(DataError, match=which):
        fit_temperature(np.linspace(0.1, 0.9, 50), np.full(50, truth))


@pytest.mark.parametrize(("upside_down", "known"), [(False, "everything"), (True, "nothing")])
def test_probabilities_without_a_best_temperature_are_refused(upside_down, known):
    p = np.linspace(0.01, 0.99, 500)
    with pytest.raises(DataError, match=f"tell {known} of the truth"):
        fit_temperature(p, (p > 0.5) ^ upside_down)


def test_temperature_one_changes_nothing():
    p = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    assert np.array_equal(with_temperature(p, 1.0), p)


@pytest.mark.parametrize("temperature", [0.3, 3.0])
def test_a_temperature_keeps_order_and_the_fixed_points(temperature):
    p = np.linspace(0, 1, 1001)
    cooled = with_temperature(p, temperature)
    assert (np.diff(cooled) > 0).all()
    assert cooled[[0, 500, 1000]] == pytest.approx([0, 0.5, 1])
    assert (abs(cooled[1:-1] - 0.5) < abs(p[1:-1] - 0.5)).mean() > 0.99 if temperature > 1 else cooled[600] > p[600]
    logits = np.log(p[1:-1] / (1 - p[1:-1]))
    assert cooled[1:-1] == pytest.approx(1 / (1 + np.exp(-logits / temperature)))


def test_temperatures_multiply():
    p = np.linspace(0, 1, 101)
    assert with_temperature(with_temperature(p, 1.5), 2.0) == pytest.approx(with_temperature(p, 3.0))


def _said_too_high(seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, 200_000)
    return 1 / (1 + np.exp(-logits)), rng.random(logits.size) < 1 / (1 + np.exp(-(logits / 0.7 - 1.9)))


def test_a_known_temperature_and_offset_are_found():
    assert fit_scaling(*_said_too_high()) == pytest.approx((0.7, -1.9), rel=0.03)


@pytest.mark.oracle
def test_a_scaling_is_logistic_regression_on_the_logit():
    p, truth = _said_too_high()
    logits = np.clip(np.log(p / (1 - p)), -8, 8)[:, None]
    oracle = LogisticRegression(C=np.inf, tol=1e-8).fit(logits, truth)
    expected = (1 / oracle.coef_[0, 0], oracle.intercept_[0])
    assert fit_scaling(p, truth) == pytest.approx(expected, rel=1e-3)


def test_an_offset_is_found_where_no_temperature_fits():
    """All say more than a half, a fifth comes true: the best temperature is infinite, the best offset is not."""
    p, truth = np.repeat([0.6, 0.8], 500), np.arange(1000) % 500 < np.repeat([50, 150], 500)
    with pytest.raises(DataError, match="tell nothing"):
        fit_temperature(p, truth)
    assert apply_scaling([0.6, 0.8], fit_scaling(p, truth)) == pytest.approx([0.1, 0.3], abs=1e-3)


def test_an_offset_mends_what_no_temperature_can():
    p, truth = _said_too_high()
    alone, both = (
        Reliability.of(mended, truth).ece
        for mended in (
            with_temperature(p, fit_temperature(p, truth)),
            apply_scaling(p, fit_scaling(p, truth)),
        )
    )
    assert both < 0.005
    assert alone > 0.1


def test_a_scaling_keeps_order_certainty_and_can_be_undone():
    p, scaling = np.linspace(0, 1, 1001), Scaling(1.7, -0.9)
    scaled = apply_scaling(p, scaling)
    assert (np.diff(scaled) > 0).all()
    assert scaled[[0, 500, 1000]] == pytest.approx([0, 1 / (1 + np.exp(0.9)), 1])
    assert apply_scaling(scaled, scaling.inverse) == pytest.approx(p)


def test_half_precision_becomes_single_and_no_more():
    assert with_temperature(np.full(3, 0.3, np.float16), 2.0).dtype == np.float32


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.inf, np.nan])
def test_a_temperature_is_a_positive_number(temperature):
    with pytest.raises(ValueError, match="positive number"):
        with_temperature(0.5, temperature)


def test_perfect_calibration_has_no_error():
    p = np.repeat([0.25, 0.75], 100)
    truth = np.concatenate([np.arange(100) < 25, np.arange(100) < 75])
    found = Reliability.of(p, truth)
    assert found.ece == 0


def test_errors_of_two_bins_by_hand():
    """100 say 0.25 and never come true, 300 say 0.95 and 270 do: (100 x 0.25 + 300 x 0.05) / 400, and 0.25."""
    p = np.repeat([0.25, 0.95], [100, 300])
    found = Reliability.of(p, np.concatenate([np.zeros(100, bool), np.arange(300) < 270]))
    assert found.ece == pytest.approx(0.1)
    assert np.isnan(found.frequency[0])


@pytest.mark.oracle
def test_bins_and_scores_are_those_of_scikit_learn():
    p, truth = _said_too_boldly(1.7, count=20_000)
    found = Reliability.of(p, truth)
    frequency, confidence = calibration_curve(truth, p, n_bins=10)
    assert found.frequency == pytest.approx(frequency)
    assert found.confidence == pytest.approx(confidence)
    assert found.brier == pytest.approx(brier_score_loss(truth, p))
    assert found.nll == pytest.approx(log_loss(truth, np.clip(p, 3.353e-4, 1 - 3.353e-4)), rel=1e-4)


def test_reliability_of_counted_voxels_is_that_of_the_voxels():
    p, truth = _said_too_boldly(1.7)
    said, came_true, weights = VoxelCounts.of(p, truth).samples()
    counted, exact = Reliability.of(said, came_true, weights=weights), Reliability.of(p, truth)
    assert counted.count == pytest.approx(exact.count)
    assert counted.frequency == pytest.approx(exact.frequency)
    for name in ("ece", "brier", "nll"):
        assert getattr(counted, name) == pytest.approx(getattr(exact, name), abs=2e-4)


def test_the_fitted_temperature_mends_calibration():
    p, truth = _said_too_boldly(2.5)
    mended = Reliability.of(with_temperature(p, fit_temperature(p, truth)), truth)
    assert Reliability.of(p, truth).ece > 0.05
    assert mended.ece < 0.005


def test_faint_voxels_are_left_out_whether_true_or_not():
    counts = VoxelCounts.of(
        np.array([0.0, 0.01, 0.01, 0.02, 1.0]), np.array([True, True, False, True, False]), least=0.02
    )
    assert counts.weight.sum(axis=1).tolist() == [1, 1]


def test_each_patient_counts_the_same_as_one():
    few, many = (
        VoxelCounts.of(np.full(10, 0.3), np.zeros(10, bool)),
        VoxelCounts.of(np.full(90, 0.7), np.ones(90, bool)),
    )
    both = few.as_one() + many.as_one()
    assert both.weight.sum(axis=1).tolist() == [1, 1]
    assert both.samples()[0] == pytest.approx([0.3, 0.7])
    assert VoxelCounts.nothing().as_one().total == 0


def test_no_voxel_at_all_is_one_sentence():
    with pytest.raises(DataError, match="No voxel to measure"):
        Reliability.of(np.zeros(0), np.zeros(0, bool))


@pytest.mark.parametrize(("p", "truth"), [([0.5, 0.5], [True]), ([1.5], [True]), ([np.nan], [True])])
def test_what_are_no_probabilities_is_refused(p, truth):
    with pytest.raises(ValueError, match=r"shapes|must lie in"):
        fit_temperature(p, truth)

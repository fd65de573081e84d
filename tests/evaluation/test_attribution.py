import numpy as np
import pytest

from pancascade.evaluation import Attribution, attribute, summarise_attribution


def square(rows, columns, shape=(10, 10)):
    mask = np.zeros(shape, bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def test_errors_are_split_by_what_the_true_box_would_win():
    reference, box = square((2, 6), (2, 6)), square((0, 10), (0, 4))
    found = attribute(reference & box, square((2, 6), (2, 5)), reference, box, case="a", patient="p")
    assert found.dice == pytest.approx(2 * 8 / (8 + 16))
    assert found.true_box_dice == pytest.approx(2 * 12 / (12 + 16))
    assert (found.lost_voxels, found.lost_share) == (8, 0.5)
    assert found.box_recall == 0.5
    assert found.box_iou == pytest.approx(8 / (40 + 16 - 8))


def test_a_case_that_stage_1_misses_is_lost_whole():
    reference = square((2, 6), (2, 6))
    nothing = np.zeros_like(reference)
    found = attribute(nothing, reference, reference, nothing, case="a", patient="p")
    assert (found.dice, found.true_box_dice, found.box_recall, found.lost_share) == (0, 1, 0, 1)


def test_without_a_target_there_is_nothing_to_lose():
    nothing = np.zeros((3, 3), bool)
    with pytest.raises(ValueError, match="empty"):
        attribute(nothing, nothing, nothing, nothing, case="a", patient="p")


def row(patient, dice, bound, lost=0.0):
    return Attribution(patient, patient, dice, bound, 1 - lost, 0.5, lost, 0)


def test_the_shares_of_the_stages_are_of_the_summed_error():
    found = summarise_attribution([row("a", 0.5, 0.9), row("b", 0.9, 0.9), row("c", 0.0, 0.7, lost=1.0)])
    error = 0.5 + 0.1 + 1.0
    assert found.first_stage_share.mean == pytest.approx((0.4 + 0 + 0.7) / error)
    assert found.second_stage_share.mean == pytest.approx((0.1 + 0.1 + 0.3) / error)
    assert (found.cases, found.missed) == (3, 1)
    assert found.lost_share.mean == pytest.approx(1 / 3)
    assert found.dice.low < found.dice.mean < found.dice.high


def test_cases_of_one_patient_have_no_interval():
    together = [Attribution(str(n), "a", 0.1 * n, 0.9, 1, 1, 0, 0) for n in range(9)]
    found = summarise_attribution(together, resamples=200)
    for interval in (found.dice, found.first_stage_share, found.second_stage_share):
        assert np.isfinite(interval.mean)
        assert np.isnan([interval.low, interval.high]).all()


def test_shares_of_the_error_lie_between_none_and_all():
    """The model's own box did better than the true one, so that the true box removes nothing."""
    found = summarise_attribution([row("a", 0.5, 0.4), row("b", 0.8, 0.79), row("c", 0.9, 0.95)], resamples=500)
    assert tuple(found.first_stage_share) == (0, 0, pytest.approx(0.5))
    assert tuple(found.second_stage_share) == (1, pytest.approx(0.5), 1)
    alone = summarise_attribution([row("a", 0.5, 0.4)])
    assert (alone.first_stage_share.mean, alone.second_stage_share.mean) == (0, 1)


def test_without_any_error_there_are_no_shares():
    found = summarise_attribution([row("a", 1.0, 1.0), row("b", 1.0, 1.0)])
    assert np.isnan([found.first_stage_share.mean, found.second_stage_share.mean]).all()
